"""What families_golden.py builds and draws: the tiny pipelines, the runs, and the run that stands for each family."""

DDIM = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            clip_sample=False, set_alpha_to_one=False, steps_offset=1)
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
TRAILING = dict(**BETAS, timestep_spacing="trailing", steps_offset=1, prediction_type="epsilon")

# Two levels are enough for what the first three are for. The others keep the layouts of their originals (heads by level,
# linear projections, every level but the last with attention) and are narrow instead.
TWO_LEVELS = dict(block_out_channels=[16, 24], layers_per_block=2, attention_head_dim=4, cross_attention_dim=12,
                  down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
                  up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"])
THREE_LEVELS = dict(block_out_channels=[8, 16, 16], layers_per_block=1, attention_head_dim=4, cross_attention_dim=12,
                    down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
                    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"])
HEADS_BY_LEVEL = dict(attention_head_dim=[1, 2, 4], use_linear_projection=True)


def sizes(pooled):
    """Stable Diffusion XL's conditions beside the text: `pooled` features and six sizes of 4 features each."""
    return dict(addition_embed_type="text_time", addition_time_embed_dim=4,
                projection_class_embeddings_input_dim=pooled + 6 * 4)


# name: class, scheduler, unet; `text` are settings of the text encoder, `pad` is the token that fills texts up.
PIPELINES = {
    "tiny": dict(unet=TWO_LEVELS),
    "tiny-inpaint": dict(unet=dict(TWO_LEVELS, in_channels=9)),
    "tiny-xl": dict(xl=True, unet=dict(TWO_LEVELS, attention_head_dim=[2, 4], cross_attention_dim=32,
                                       use_linear_projection=True, transformer_layers_per_block=[1, 2], **sizes(12))),
    "tiny-2": dict(scheduler=dict(_class_name="DDIMScheduler", **DDIM, prediction_type="v_prediction"), pad="!",
                   unet=dict(THREE_LEVELS, **HEADS_BY_LEVEL), text=dict(hidden_act="gelu")),
    "tiny-turbo": dict(scheduler=dict(_class_name="EulerDiscreteScheduler", **TRAILING), pad="!",
                       unet=dict(THREE_LEVELS, **HEADS_BY_LEVEL), text=dict(hidden_act="gelu")),
    "tiny-lcm": dict(pipeline_class="LatentConsistencyModelPipeline",
                     scheduler=dict(_class_name="LCMScheduler", **BETAS, clip_sample=False, set_alpha_to_one=True,
                                    steps_offset=0, original_inference_steps=50, timestep_scaling=10.0),
                     unet=dict(THREE_LEVELS, time_cond_proj_dim=32)),
    "tiny-xl-turbo": dict(xl=True, scheduler=dict(_class_name="EulerAncestralDiscreteScheduler", **TRAILING),
                          unet=dict(THREE_LEVELS, cross_attention_dim=32, attention_head_dim=[1, 2, 4],
                                    use_linear_projection=True, transformer_layers_per_block=[1, 2, 3],
                                    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                                    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
                                    **sizes(12))),
}

# ControlNets for pipelines: the settings of a UNet's first half. The autoencoder's factor is 4: two halvings.
HINT = dict(conditioning_embedding_out_channels=[4, 6, 8])
CONTROLNETS = {
    "tiny-edges": dict({k: v for k, v in TWO_LEVELS.items() if k != "up_block_types"}, **HINT),
    "tiny-depth": dict({k: v for k, v in TWO_LEVELS.items() if k != "up_block_types"}, **HINT),
    "tiny-xl-edges": dict({k: v for k, v in PIPELINES["tiny-xl"]["unet"].items() if k != "up_block_types"}, **HINT),
}

# Learned words: number of vectors, and the width for each key of the file. A key of a file for Stable Diffusion is the word.
EMBEDDINGS = {"tiny-cat": (3, {"<cat>": 12}), "easyword": (2, {"clip_l": 12, "clip_g": 20})}

LONG = "a red fox above a green crown, " * 5
# Pieces of a weighted prompt, each with its weight: what its syntax means, written out by hand. A chunk is a list.
CHUNKS = {
    "a (red:1.4) fox, ((big)) [crown] \\(blue\\)": [
        [("a ", 1.0), ("red", 1.4), (" fox, ", 1.0), ("big", 1.21), (" ", 1.0), ("crown", 1 / 1.1), (" (blue)", 1.0)]],
    "a dog BREAK (grey:0.5)": [[("a dog", 1.0)], [("grey", 0.5)]],
    LONG: None,  # no brackets: tokens are simply counted into chunks
    "grey": [[("grey", 1.0)]],
}

DEFAULTS = dict(kind="text2img", prompt="a red fox", negative_prompt="a blue dog", seed=5, steps=4, guidance_scale=5.0,
                width=32, height=32)
UNGUIDED = dict(guidance_scale=0.0, negative_prompt=None)
LCM = dict(guidance_scale=8.0, negative_prompt=None)
NEGATIVE_SIZES = dict(negative_original_size=[20, 28], negative_crops_coords_top_left=[6, 1],
                      negative_target_size=[72, 48])
RUNS = [
    dict(name="tiny_weighted", pipeline="tiny", prompt="a (red:1.4) fox, ((big)) [crown] \\(blue\\)", negative_prompt="grey"),
    dict(name="tiny_long", pipeline="tiny", prompt=LONG, negative_prompt="a dog BREAK (grey:0.5)"),
    dict(name="tiny_img2img_heun", pipeline="tiny", kind="img2img", strength=0.6, steps=5,
         scheduler=dict(_class_name="HeunDiscreteScheduler")),
    dict(name="tiny_img2img_unipc", pipeline="tiny", kind="img2img", strength=0.7, steps=6,
         scheduler=dict(_class_name="UniPCMultistepScheduler")),
    dict(name="tiny_img2img_two_pictures", pipeline="tiny", kind="img2img", strength=0.5, num_images_per_prompt=2),
    dict(name="tiny_inpaint_euler_a", pipeline="tiny", kind="inpaint", strength=0.9,
         scheduler=dict(_class_name="EulerAncestralDiscreteScheduler")),
    dict(name="tiny_inpaint9", pipeline="tiny-inpaint", kind="inpaint", strength=1.0),
    dict(name="tiny_inpaint9_strength", pipeline="tiny-inpaint", kind="inpaint", strength=0.6,
         scheduler=dict(_class_name="EulerDiscreteScheduler")),
    dict(name="tiny_xl", pipeline="tiny-xl", height=40, extra=dict(
        prompt_2="a green crown", original_size=[60, 50], crops_coords_top_left=[4, 2], target_size=[40, 64])),
    dict(name="tiny_xl_no_negative", pipeline="tiny-xl", negative_prompt=None),
    dict(name="tiny_xl_clip_skip", pipeline="tiny-xl", extra=dict(clip_skip=1)),
    dict(name="tiny_xl_inpaint", pipeline="tiny-xl", kind="inpaint", strength=0.8),
    dict(name="tiny_xl_img2img", pipeline="tiny-xl", kind="img2img", strength=0.5),
    dict(name="tiny_xl_negative_sizes", pipeline="tiny-xl", extra=dict(
        original_size=[60, 50], crops_coords_top_left=[4, 2], target_size=[40, 64], **NEGATIVE_SIZES)),
    # Without a negative target size, text to image reads no negative sizes at all.
    dict(name="tiny_xl_negative_original", pipeline="tiny-xl", extra=dict(
        crops_coords_top_left=[4, 2], negative_original_size=[20, 28])),
    # Image to image fills in the missing one, and gives both halves the same crop.
    dict(name="tiny_xl_img2img_negative_original", pipeline="tiny-xl", kind="img2img", strength=0.5, extra=dict(
        crops_coords_top_left=[4, 2], negative_original_size=[20, 28], negative_crops_coords_top_left=[6, 1])),
    dict(name="tiny_xl_inpaint_negative_sizes", pipeline="tiny-xl", kind="inpaint", strength=0.8, extra=dict(
        original_size=[60, 50], crops_coords_top_left=[4, 2], target_size=[40, 64], **NEGATIVE_SIZES)),
    dict(name="tiny_2_ddim", pipeline="tiny-2", prompt="a red fox!"),
    dict(name="tiny_2_zero_snr", pipeline="tiny-2", extra=dict(guidance_rescale=0.7),
         scheduler=dict(_class_name="DDIMScheduler", rescale_betas_zero_snr=True, timestep_spacing="trailing")),
    dict(name="tiny_2_img2img_euler", pipeline="tiny-2", kind="img2img", strength=0.5,
         scheduler=dict(_class_name="EulerDiscreteScheduler")),
    dict(name="tiny_turbo_1step", pipeline="tiny-turbo", steps=1, **UNGUIDED),
    dict(name="tiny_turbo_4step", pipeline="tiny-turbo", width=40, **UNGUIDED),
    dict(name="tiny_turbo_img2img", pipeline="tiny-turbo", kind="img2img", steps=2, strength=0.5, **UNGUIDED),
    dict(name="tiny_lcm", pipeline="tiny-lcm", **LCM),
    dict(name="tiny_lcm_1step", pipeline="tiny-lcm", steps=1, guidance_scale=2.5, negative_prompt=None),
    dict(name="tiny_lcm_img2img", pipeline="tiny-lcm", kind="img2img", strength=0.5, **LCM),
    dict(name="tiny_learned_word", pipeline="tiny", prompt="a red <cat> above <cat>", negative_prompt="<cat>",
         embeddings=["tiny-cat"]),
    dict(name="tiny_xl_learned_word", pipeline="tiny-xl", prompt="an easyword fox", embeddings=["easyword"]),
    dict(name="tiny_control", pipeline="tiny", controlnets=["tiny-edges"], extra=dict(
        controlnet_conditioning_scale=[0.8], control_guidance_start=[0.0], control_guidance_end=[0.75])),
    dict(name="tiny_control_two", pipeline="tiny", controlnets=["tiny-edges", "tiny-depth"], width=48, extra=dict(
        controlnet_conditioning_scale=[1.0, 0.5], control_guidance_start=[0.0, 0.25], control_guidance_end=[1.0, 1.0])),
    dict(name="tiny_control_img2img", pipeline="tiny", kind="img2img", strength=0.6, steps=5, controlnets=["tiny-depth"],
         extra=dict(controlnet_conditioning_scale=[1.0])),  # this pipeline's own is 0.8
    dict(name="tiny_xl_control", pipeline="tiny-xl", height=40, controlnets=["tiny-xl-edges"], num_images_per_prompt=2),
    dict(name="tiny_lcm_nag", pipeline="tiny-lcm", guidance_scale=8.0, extra=dict(nag_scale=4.0)),
    # Most ratios of norms are above this tau.
    dict(name="tiny_turbo_nag", pipeline="tiny-turbo", guidance_scale=0.0, extra=dict(nag_scale=6.0, nag_tau=1.2, nag_alpha=0.75)),
    dict(name="tiny_nag_beside_guidance", pipeline="tiny", num_images_per_prompt=2, extra=dict(nag_scale=3.0)),
    dict(name="tiny_xl_turbo_nag", pipeline="tiny-xl-turbo", steps=2, guidance_scale=0.0, extra=dict(nag_scale=3.0)),
    dict(name="tiny_xl_turbo_1step", pipeline="tiny-xl-turbo", steps=1, **UNGUIDED),
    dict(name="tiny_xl_turbo_4step", pipeline="tiny-xl-turbo", height=40, **UNGUIDED),
    dict(name="tiny_xl_turbo_img2img", pipeline="tiny-xl-turbo", kind="img2img", strength=0.5, **UNGUIDED),
]

# The run that stands for each family, on WebGPU too.
FAMILIES = {
    "SD 2.x with v-prediction": "tiny_2_ddim",
    "Turbo": "tiny_turbo_4step",
    "LCM": "tiny_lcm",
    "LCM image to image": "tiny_lcm_img2img",
    "SDXL": "tiny_xl_negative_sizes",
    "SDXL-Turbo": "tiny_xl_turbo_4step",
    "inpainting network": "tiny_inpaint9",
}

# What the page's requests cannot say.
NOT_IN_PAGE = {
    "runs/tiny_img2img_two_pictures": "the page draws one picture a request",
    "runs/tiny_nag_beside_guidance": "the page draws one picture a request",
    **{f"runs/{run['name']}": "the page loads no ControlNets" for run in RUNS if "controlnets" in run},
    **{f"runs/{run['name']}": "the page loads no learned words" for run in RUNS if "embeddings" in run},
}

# Seeds of Wichmann and Hill's generator: both signs, and far beyond 64 bits.
INTEGER_SEEDS = [2**64 - 1, 2**64, 2**64 + 12345, 10**30 + 7, 2**200 + 3, 7**400, -1, -2, -30268, -(2**63), -(2**64), -(10**30), -(7**400)]
