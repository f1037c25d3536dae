//! What the commands that draw, edit and fit print and write.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::picture::Picture;
use crate::train::sheet::sheet;

/// Each note once.
pub fn print_notes(notes: Vec<String>) {
    for (i, note) in notes.iter().enumerate() {
        if !notes[..i].contains(note) {
            eprintln!("note: {note}");
        }
    }
}

/// Writes pictures with their names side by side, and prints the file's name.
pub fn write_strip(cells: &[(Picture, String)], out: &Path) -> Result<()> {
    let strip = sheet(cells, cells.len()).to_png(None)?;
    std::fs::write(out, strip).with_context(|| out.display().to_string())?;
    writeln!(std::io::stdout(), "{}", out.display())?;
    Ok(())
}

/// Checks before a long drawing whether its file can be written; leaves no trace.
pub fn check_writable(path: &Path) -> std::io::Result<()> {
    let existed = path.exists();
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match existed {
        true => Ok(()),
        false => std::fs::remove_file(path),
    }
}
