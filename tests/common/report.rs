//! Runs cases and counts how they ended.

use super::{Failure, Suite};

/// How many cases ended how.
#[derive(Default)]
pub struct Report {
    pub passed: usize,
    /// A line for each problem: its name and what is wrong.
    pub failed: Vec<String>,
    /// Refused, as their set says.
    pub ignored: usize,
    /// Not asked for.
    pub filtered: usize,
}

impl Report {
    /// Whether all went well and anything was compared at all.
    pub fn is_ok(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }

    /// Records and prints a problem.
    pub fn fail(&mut self, name: &str, what: &str) {
        println!("FAILED  {name:<44} {what}");
        self.failed.push(format!("{name}: {what}"));
    }

    /// Runs the cases of a set that are asked for, one line a case.
    pub fn run(&mut self, suite: &Suite, asked_for: impl Fn(&str) -> bool) {
        let cases = match suite.cases() {
            Ok(cases) => cases,
            Err(problem) => return self.fail("set", &problem),
        };
        suite.problems(&cases).iter().for_each(|problem| self.fail("set", problem));
        for case in cases {
            if !asked_for(&case.name) {
                self.filtered += 1;
                continue;
            }
            let name = case.name.clone();
            match (case.run(), suite.unsupported(&name)) {
                (Ok(measured), None) => {
                    self.passed += 1;
                    println!("ok      {name:<44} {:.2e} (at most {:.0e})", measured.error, measured.tolerance);
                }
                (Ok(_), Some(_)) => self.fail(&name, "passes, and its set lists it as unsupported"),
                (Err(Failure::Unsupported(what)), Some(reason)) => {
                    self.ignored += 1;
                    println!("ignored {name:<44} {what}, as its set says: {reason}");
                }
                (Err(Failure::Unsupported(what)), None) => self.fail(&name, &format!("not supported: {what}")),
                (Err(Failure::Wrong(what)), _) => self.fail(&name, &what),
            }
        }
    }
}
