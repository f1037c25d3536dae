//! `fourstep dataset pack|render|sheet`: makes captioned pictures from drawings of emoji.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use super::progress::Progress;
use crate::dataset::packer::{self, Words};
use crate::dataset::{Layer, Output, Pack, Recipe, Split, Stickers, World, icons, sources, write_split};
use crate::picture::Picture;
use crate::train::sheet::sheet;

/// Makes captioned pictures from drawings of emoji.
#[derive(Args)]
pub struct Dataset {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Collects every drawing with its name in one file, the only one that later steps need
    Pack(PackArgs),
    /// Renders a split of a recipe into a folder: pictures (safetensors) and captions.jsonl
    Render {
        #[command(flatten)]
        what: What,
        /// Folder to write to
        #[arg(long)]
        out: PathBuf,
    },
    /// Draws pictures with their captions on one PNG, to look at
    Sheet {
        #[command(flatten)]
        what: What,
        /// Pictures in a row
        #[arg(long, default_value_t = 12)]
        columns: usize,
        /// Draws each pixel as a square of this many pixels a side
        #[arg(long, default_value_t = 1)]
        zoom: usize,
        /// Number of the first picture
        #[arg(long, default_value_t = 0)]
        from: usize,
        /// File to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Says how often the judges recognise the dataset's own pictures, for each kind of caption
    Judge(super::dataset_judge::JudgeArgs),
    /// Lists for a page what captions can say: things, colours, places, every word, and captions to draw
    Words {
        /// File that `fourstep dataset pack` wrote
        #[arg(long, default_value = "stickers.pack")]
        pack: PathBuf,
        /// Recipe: concepts, mixture, colours
        #[arg(long, default_value = "recipes/stickers-v0.json")]
        recipe: PathBuf,
        /// Number of captions to draw
        #[arg(long, default_value_t = 400)]
        captions: usize,
        /// Kinds of the recipe's mixture that these captions have
        #[arg(long, value_delimiter = ',', default_value = "background,recolour,recolour_background")]
        kinds: Vec<String>,
        /// Seed of every draw
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// File to write
        #[arg(long, default_value = "models/stickers/words.json")]
        out: PathBuf,
    },
}

#[derive(Args)]
struct PackArgs {
    /// Folder of npm's icon packages: noto, fluent-emoji-flat and twemoji of @iconify-json (npm ci)
    #[arg(long, default_value = icons::FOLDER)]
    icons: PathBuf,
    /// emojilib's English words (npm: emojilib)
    #[arg(long, default_value = sources::EMOJILIB)]
    emojilib: PathBuf,
    /// The bitmaps of a colour font instead of the icon packages (Debian: fonts-noto-color-emoji)
    #[arg(long, num_args = 0..=1, default_missing_value = sources::FONT, conflicts_with_all = ["icons", "emojilib"])]
    font: Option<PathBuf>,
    /// Unicode's emoji-test.txt (Debian: unicode-data)
    #[arg(long, default_value = sources::EMOJI_TEST)]
    emoji_test: PathBuf,
    /// CLDR's English annotations (Debian: unicode-cldr-core)
    #[arg(long, default_value = sources::ANNOTATIONS)]
    annotations: PathBuf,
    /// CLDR's English annotations of sequences (Debian: unicode-cldr-core)
    #[arg(long, default_value = sources::ANNOTATIONS_DERIVED)]
    annotations_derived: PathBuf,
    /// File to write
    #[arg(long, default_value = "stickers.pack")]
    out: PathBuf,
}

/// Selects pictures.
#[derive(Args)]
struct What {
    /// File that `fourstep dataset pack` wrote
    #[arg(long, default_value = "stickers.pack")]
    pack: PathBuf,
    /// Recipe: concepts, mixture, colours
    #[arg(long, default_value = "recipes/stickers-v0.json")]
    recipe: PathBuf,
    /// Number of pictures; `--split glyphs` has one for each drawing
    #[arg(long)]
    count: Option<usize>,
    /// Seed of every draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Side of the pictures in pixels, instead of the recipe's
    #[arg(long)]
    size: Option<usize>,
    /// Combinations to draw
    #[arg(long, value_enum, default_value = "train")]
    split: SplitName,
    /// Cuts the pictures out, with alpha: `render` writes colours multiplied by alpha, `sheet` shows a chequered ground
    #[arg(long)]
    alpha: bool,
    /// With `--split glyphs`: only the recipe's concepts, not every glyph of the pack
    #[arg(long)]
    recipe_concepts: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SplitName {
    Train,
    HeldOut,
    Glyphs,
}

/// Runs one of the subcommands.
pub fn run(dataset: Dataset) -> anyhow::Result<()> {
    match dataset.step {
        Step::Pack(args) => run_pack(&args),
        Step::Render { what, out } => run_render(&what, &out),
        Step::Judge(args) => super::dataset_judge::run(&args),
        Step::Sheet { what, columns, zoom, from, out } => run_sheet(&what, (columns, zoom, from), &out),
        Step::Words { pack, recipe, captions, kinds, seed, out } => {
            run_words((&pack, &recipe), (seed, captions), &kinds, &out)
        }
    }
}

fn run_render(what: &What, out: &Path) -> anyhow::Result<()> {
    let (stickers, split, count, size) = what.open()?;
    let mut progress = Progress::new();
    write_split(&stickers, (what.seed, split), Output { count, size, alpha: what.alpha }, out, |done| {
        progress.say("pictures", done, count);
    })?;
    Ok(())
}

fn run_sheet(what: &What, (columns, zoom, from): (usize, usize, usize), out: &Path) -> anyhow::Result<()> {
    let (stickers, split, count, size) = what.open()?;
    anyhow::ensure!((1..=100).contains(&columns), "--columns {columns}: must be 1 to 100");
    anyhow::ensure!((1..=8).contains(&zoom), "--zoom {zoom}: must be 1 to 8");
    let end = if split == Split::Glyphs { stickers.drawings().min(from + count) } else { from + count };
    anyhow::ensure!(from < end, "--from {from}: the split has {end} pictures");
    anyhow::ensure!(end - from <= 4096, "--count {count}: a sheet holds at most 4096 pictures");
    let mut cells = Vec::with_capacity(count);
    for i in from..end {
        let record = stickers.record(what.seed, split, i as u64)?;
        let picture = match what.alpha {
            true => over_chequers(&stickers.render_layer(&record.scene, size)?),
            false => stickers.render(&record.scene, size)?,
        };
        cells.push((picture.enlarged(zoom), record.caption));
    }
    Ok(sheet(&cells, columns).write_png(out)?)
}

/// Composites the layer over squares of light grey, which stand for transparency.
fn over_chequers(layer: &Layer) -> Picture {
    let mut picture = Picture::filled(layer.width, layer.height, [255; 3]);
    let square = (layer.height / 16).max(2);
    for y in 0..picture.height {
        for x in (0..picture.width).filter(|x| (x / square + y / square) % 2 == 1) {
            picture.set(x, y, [225; 3]);
        }
    }
    layer.over(&mut picture, 0, 0);
    picture
}

fn run_words(
    (pack, recipe): (&Path, &Path),
    (seed, captions): (u64, usize),
    kinds: &[String],
    out: &Path,
) -> anyhow::Result<()> {
    let recipe = Recipe::read(recipe)?;
    let stickers = Stickers::new(Pack::read(pack, recipe.raster_side(recipe.size))?, recipe)?;
    let kind = |name: &String| serde_json::from_value(name.as_str().into()).context(format!("--kinds {name}"));
    let kinds = kinds.iter().map(kind).collect::<anyhow::Result<Vec<_>>>()?;
    let world = World::new(&stickers, (seed, captions), &kinds)?;
    std::fs::write(out, serde_json::to_string(&world)? + "\n").with_context(|| out.display().to_string())?;
    let (things, words) = (world.concepts.len(), world.words.len());
    println!("{}: {things} things, {words} words, {} captions", out.display(), world.surprises.len());
    Ok(())
}

fn run_pack(args: &PackArgs) -> anyhow::Result<()> {
    let annotations = vec![args.annotations.clone(), args.annotations_derived.clone()];
    let words = Words { emoji_test: args.emoji_test.clone(), annotations };
    let built = match &args.font {
        Some(font) => packer::from_font(font, &words)?,
        None => packer::from_icons(&args.icons, &args.emojilib, &words)?,
    };
    std::fs::write(&args.out, &built.bytes).with_context(|| args.out.display().to_string())?;
    let (things, megabytes) = (built.concepts.len(), built.bytes.len() as f64 / 1e6);
    let by = built.drawings.iter().map(|(artist, drawings)| format!("{drawings} by {}", artist.key()));
    let by = by.collect::<Vec<_>>().join(", ");
    println!("{}: {things} things, drawn {by}; {megabytes:.1} MB", args.out.display());
    Ok(())
}

impl What {
    /// The stickers, the split, how many, and at what size.
    fn open(&self) -> anyhow::Result<(Stickers, Split, usize, usize)> {
        let mut recipe = Recipe::read(&self.recipe)?;
        let size = self.size.unwrap_or(recipe.size);
        anyhow::ensure!((8..=1024).contains(&size), "--size {size}: must be 8 to 1024");
        let pack = Pack::read(&self.pack, recipe.raster_side(size))?;
        if self.split == SplitName::Glyphs && !self.recipe_concepts {
            recipe.concepts = pack.everything();
        }
        let stickers = Stickers::new(pack, recipe)?;
        let (split, count) = match self.split {
            SplitName::Train => (Split::Train, self.count.context("--count is needed for this split")?),
            SplitName::HeldOut => (Split::HeldOut, self.count.context("--count is needed for this split")?),
            SplitName::Glyphs => {
                let all = stickers.drawings();
                (Split::Glyphs, self.count.unwrap_or(all).min(all))
            }
        };
        anyhow::ensure!(count > 0, "--count 0: nothing to render");
        Ok((stickers, split, count, size))
    }
}
