//! The losses of a run: `loss.csv`, and the chart `loss.svg`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::chart::{Chart, Line, Scale, figure};
use crate::{Error, Result};

/// One row of `loss.csv`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Steps taken.
    pub step: u64,
    /// Mean loss since the last row.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Training samples a second since the last row.
    pub samples_per_second: f64,
}

/// The rows of a run, in memory and on disk.
pub struct Curves {
    folder: PathBuf,
    rows: Vec<Row>,
}

const HEADER: &str = "step,loss,learning_rate,samples_per_second";

impl Curves {
    /// Reads the rows in `folder` up to `step`. Later rows belong to steps after the checkpoint, which will be
    /// repeated.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadFile`] that names the line.
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
    #[cfg(test)]
    fn rows(&self) -> &[Row] {
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

fn svg(rows: &[Row], title: &str) -> String {
    let points = rows.iter().filter(|row| row.loss > 0.0).map(|row| (row.step as f64, row.loss)).collect();
    let line = Line { name: "loss".into(), dashed: false, points };
    let (title, x_label) = (format!("{title}: loss"), "steps".into());
    figure(&[Chart { title, x_label, y: Scale::Log, lines: vec![line], ..Chart::default() }], 1, "")
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
    fn losses_without_a_logarithm_are_left_out() {
        let drawn = svg(&[row(0, 1.0), row(50, 0.0), row(100, 0.01)], "a run");
        assert!(drawn.contains("a run: loss") && drawn.contains(">0.01</text>"), "{drawn}");
        assert_eq!(drawn, svg(&[row(0, 1.0), row(100, 0.01)], "a run"));
        svg(&[], "nothing yet");
    }
}
