"""Reduced UNets as diffusers builds them, and one prediction of each: tests/golden/reduced/.

    python3 tests/reference/reduced_golden.py tests/golden/reduced

`segmind` has SSD-1B's shape: as many transformer layers as each block says, other numbers on the way up, and one residual block in
the middle. `bk` has BK-SDM-Tiny's: one residual block a level, three levels, and nothing in the middle. Widths are small, weights
random and rounded to f16.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

NARROW = dict(sample_size=8, block_out_channels=[8, 8, 16], norm_num_groups=4, cross_attention_dim=8, attention_head_dim=2)
CASES = {
    "segmind": dict(
        NARROW,
        layers_per_block=2,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        mid_block_type="UNetMidBlock2D",
        transformer_layers_per_block=[[1, 1], [2, 2], [1, 2]],
        reverse_transformer_layers_per_block=[[2, 1, 3], [2, 1, 1], [1, 1, 1]],
        use_linear_projection=True,
    ),
    "bk": dict(
        NARROW,
        layers_per_block=1,
        down_block_types=["CrossAttnDownBlock2D"] * 3,
        up_block_types=["CrossAttnUpBlock2D"] * 3,
        mid_block_type=None,
    ),
}


def main(folder: str) -> None:
    torch.manual_seed(16)
    for name, config in CASES.items():
        network = UNet2DConditionModel(**config).eval()
        weights = {key: value.half() for key, value in network.state_dict().items()}
        network.load_state_dict({key: value.float() for key, value in weights.items()})
        sample, context = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 8)
        with torch.no_grad():
            prediction = network(sample, 321, encoder_hidden_states=context).sample
        target = Path(folder) / name
        target.mkdir(parents=True, exist_ok=True)
        save_file(weights, target / "unet.safetensors")
        save_file({"sample": sample, "context": context, "prediction": prediction}, target / "case.safetensors")
        written = {key: value for key, value in network.config.items() if not key.startswith("_use")}
        (target / "config.json").write_text(json.dumps(written, indent=1) + "\n")
        print(target, len(weights), "tensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
