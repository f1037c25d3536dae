//! The command line's entry: only maps the result to an exit code.

fn main() -> std::process::ExitCode {
    fourstep::cli::run().into()
}
