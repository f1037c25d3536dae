//! What to do about a file that cannot be read as it is: with options on the command line, with folders in the page.

/// Whether options can be given.
const OPTIONS: bool = cfg!(feature = "native");

/// What the folder beside the file is called.
pub(super) const FOLDER: &str = if OPTIONS { "--config folder" } else { "folder" };
/// About an adapter.
pub(super) const ADAPTER: &str = match OPTIONS {
    true => "it is an adapter (LoRA), no checkpoint: give it as --lora, beside a --model",
    false => "it is an adapter (LoRA), no checkpoint: it changes a model, and draws nothing by itself",
};
/// About a component's file out of a folder.
pub(super) const COMPONENT: &str = match OPTIONS {
    true => "it is one part of a model in diffusers' names: give the folder with model_index.json as --model",
    false => "it is one part of a model in diffusers' names: open the folder with model_index.json",
};
/// About sizes that are not in the file.
pub(super) const CONFIGURATIONS: &str = match OPTIONS {
    true => "give a folder with the model's configurations as --config",
    false => "put it into a folder with the model's configurations, and open that folder",
};

/// About a part that the file lacks and that `weights` would hold.
pub(super) fn part(weights: &str) -> String {
    match OPTIONS {
        true => format!("give a folder that has one ({weights}) as --config"),
        false => format!("put the file into a folder that has one ({weights}), and open that folder"),
    }
}
