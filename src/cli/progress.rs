//! Progress of a command: on a terminal one line that is overwritten, in a file a new line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Prints on standard error what is being done, how much of it is done, and the time left.
pub struct Progress {
    terminal: bool,
    /// What is being done, and when it began.
    doing: Option<(String, Instant)>,
    said: Instant,
    line_open: bool,
}

/// Time between lines when standard error is not a terminal.
const SELDOM: Duration = Duration::from_secs(20);

impl Progress {
    /// Starts silent.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), doing: None, said: Instant::now(), line_open: false }
    }

    /// `done` of `total` steps of `what` are done.
    pub fn say(&mut self, what: &str, done: usize, total: usize) {
        if self.doing.as_ref().is_none_or(|(doing, _)| doing != what) {
            self.doing = Some((what.to_owned(), Instant::now()));
        }
        let since = self.doing.as_ref().map_or(0.0, |(_, since)| since.elapsed().as_secs_f64());
        let left = since / done.max(1) as f64 * (total - done.min(total)) as f64;
        let left = if done == 0 { String::new() } else { format!(", {left:.0} s left") };
        self.line(&format!("{what}: {done} of {total}, {since:.0} s{left}"));
    }

    /// Prints a line of progress: always on a terminal, otherwise only some time after the last one.
    pub fn line(&mut self, line: &str) {
        if self.terminal {
            eprint!("\r{line:<70}");
            let _ = std::io::stderr().flush();
            self.line_open = true;
        } else if self.said.elapsed() >= SELDOM {
            eprintln!("{line}");
            self.said = Instant::now();
        }
    }

    /// Ends the line, so that other output can follow.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.line_open) {
            eprintln!();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
