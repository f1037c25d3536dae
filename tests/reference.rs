//! The golden suite: everything that can be compared with diffusers, transformers and PyTorch.
//!
//!     cargo test --release --test reference -- [--device cpu|wgpu] [NAME...]
//!
//! The sets are the folders of tests/golden with `cases/`. `FOURSTEP_REFERENCE=DIR` takes another one; where it has no
//! set.json, `FOURSTEP_REFERENCE_EXPECT=FILE` names one for it. A set's manifests say which cases there are, its set.json
//! how many there must be. One line a case with its worst relative error; the exit status is 1 if a case is out of
//! tolerance, is refused though the set does not list it as unsupported, has a key or a tensor that nothing reads, or is
//! missing.

mod common;

use common::{Asked, Report, Suite};

fn main() {
    let asked = Asked::from_args();
    let mut report = Report::default();
    match Suite::all(&asked) {
        Ok((suites, problems)) => {
            problems.iter().for_each(|problem| report.fail("set", problem));
            for suite in &suites {
                println!("reference {} on {}", suite.reference.display(), asked.device_name);
                report.run(suite, |name| asked.wants(name));
            }
        }
        Err(problem) => report.fail("set", &problem),
    }
    let verdict = if report.is_ok() { "ok" } else { "FAILED" };
    let Report { passed, failed, ignored, filtered } = report;
    let failed = failed.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {filtered} filtered out"
    );
    std::process::exit(i32::from(verdict != "ok"));
}
