//! The losses of a run: `loss.csv`, and `loss.svg` drawn from it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// One row of `loss.csv`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Steps taken.
    pub step: u64,
    /// Mean loss since the row before.
    pub loss: f64,
    /// Of the last step.
    pub learning_rate: f64,
    /// Training samples a second since the row before.
    pub samples_per_second: f64,
}

/// The rows of a run, in memory and on disk.
pub struct Curves {
    folder: PathBuf,
    rows: Vec<Row>,
}

const HEADER: &str = "step,loss,learning_rate,samples_per_second";

impl Curves {
    /// Takes up the rows in `folder` up to `step`: those after it came after the checkpoint and are made again.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadFile`] naming the line.
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        let path = folder.join("loss.csv");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let bad = |line: usize| Error::BadFile {
            file: path.display().to_string(),
            reason: format!("line {} is not {HEADER}", line + 1),
        };
        let mut rows = Vec::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let row = parse(line).ok_or_else(|| bad(number))?;
            if row.step <= step {
                rows.push(row);
            }
        }
        let curves = Self { folder: folder.to_owned(), rows };
        let kept: String = curves.rows.iter().map(line).collect();
        std::fs::write(&path, format!("{HEADER}\n{kept}")).map_err(Error::io(&path))?;
        Ok(curves)
    }

    /// Appends a row to the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn push(&mut self, row: Row) -> Result<()> {
        let path = self.folder.join("loss.csv");
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        file.and_then(|mut file| file.write_all(line(&row).as_bytes())).map_err(Error::io(&path))?;
        self.rows.push(row);
        Ok(())
    }

    /// The rows, oldest first.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Draws `loss.svg`: the logarithm of the loss over the steps.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn draw(&self, title: &str) -> Result<()> {
        let path = self.folder.join("loss.svg");
        std::fs::write(&path, svg(&self.rows, title)).map_err(Error::io(&path))
    }
}

fn line(row: &Row) -> String {
    format!("{},{:e},{:e},{:.2}\n", row.step, row.loss, row.learning_rate, row.samples_per_second)
}

fn parse(line: &str) -> Option<Row> {
    let mut fields = line.split(',');
    let step = fields.next()?.parse().ok()?;
    let mut number = || fields.next()?.parse().ok();
    let row = Row { step, loss: number()?, learning_rate: number()?, samples_per_second: number()? };
    fields.next().is_none().then_some(row)
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 28.0;

fn svg(rows: &[Row], title: &str) -> String {
    let logs = || rows.iter().filter(|row| row.loss > 0.0).map(|row| row.loss.log10());
    let (mut low, mut high) = (logs().fold(f64::MAX, f64::min), logs().fold(f64::MIN, f64::max));
    if low > high {
        (low, high) = (0.0, 0.0);
    }
    if high - low < 0.1 {
        (low, high) = (low - 0.05, high + 0.05);
    }
    let last = rows.last().map_or(1, |row| row.step.max(1)) as f64;
    let x = |step: f64| LEFT + step / last * (WIDTH - LEFT - RIGHT);
    let y = |log: f64| HEIGHT - BOTTOM - (log - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"16\" font-size=\"13\">{title}: loss over steps</text>\n"
    );
    for i in 0..=4 {
        let log = low + (high - low) * f64::from(i) / 4.0;
        let (place, value, text) = (y(log), 10f64.powf(log), LEFT - 6.0);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {place:.1}H{}\" stroke=\"#ddd\"/><text x=\"{text}\" y=\"{:.1}\" text-anchor=\"end\">\
             {value:.4}</text>",
            WIDTH - RIGHT,
            place + 4.0
        );
        let step = last * f64::from(i) / 4.0;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{step:.0}</text>",
            x(step).min(WIDTH - RIGHT - 14.0),
            HEIGHT - 10.0
        );
    }
    let points: Vec<String> = rows
        .iter()
        .filter(|row| row.loss > 0.0)
        .map(|row| format!("{:.1},{:.1}", x(row.step as f64), y(row.loss.log10())))
        .collect();
    let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#1668b8\"/>\n</svg>", points.join(" "));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, loss: f64) -> Row {
        Row { step, loss, learning_rate: 1e-3, samples_per_second: 12.5 }
    }

    #[test]
    fn rows_after_the_checkpoint_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut curves = Curves::open(folder.path(), 0).unwrap();
        for step in [10, 20, 30] {
            curves.push(row(step, 1.0 / step as f64)).unwrap();
        }
        let mut again = Curves::open(folder.path(), 20).unwrap();
        assert_eq!(again.rows(), [row(10, 0.1), row(20, 0.05)]);
        again.push(row(30, 0.5)).unwrap();
        assert_eq!(Curves::open(folder.path(), 99).unwrap().rows()[2], row(30, 0.5));
        std::fs::write(folder.path().join("loss.csv"), "step\n1,2\n").unwrap();
        let message = Curves::open(folder.path(), 20).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("loss.csv: line 2"), "{message}");
    }

    #[test]
    fn the_curve_goes_down_from_left_to_right() {
        let drawn = svg(&[row(0, 1.0), row(50, 0.1), row(100, 0.01)], "a run");
        let points = format!("points=\"{LEFT:.1},{TOP:.1} 386.0,180.0 {:.1},{:.1}\"", WIDTH - RIGHT, HEIGHT - BOTTOM);
        assert!(drawn.contains(&points), "{drawn}");
        assert!(drawn.contains(">0.0100</text>") && drawn.contains("a run"));
        svg(&[], "nothing yet");
    }
}
