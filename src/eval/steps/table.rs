//! The report of a comparison: a table, a file for programs, and charts.

use std::fmt::Write;

use super::super::{Combinations, compare::EQUAL_DB};
use super::{Group, Measured, Point, Report, Split};
use crate::chart::{Chart, Level, Line, Scale};

impl Report {
    /// A Markdown table with one row for each line and number of steps, and an explanation of the columns.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| model | sampler | steps | evaluations | time | PSNR | top 1 | top 5 | colour | background | count | \
             Fréchet | nearest training | nearer to training |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for point in &self.points {
            let sampler = point.sampler.as_deref().unwrap_or("own");
            let start =
                [point.line.clone(), sampler.to_owned(), point.steps.to_string(), format!("{:.0}", point.evaluations)];
            let time = number(point.time, 3);
            let psnr = number(point.near.map(|near| near.mean_psnr_db), 1);
            let _ = writeln!(text, "| {} | {time} | {psnr} | {} |", start.join(" | "), counted(&point.measured));
        }
        for (name, measured) in
            [("the dataset's own pictures", &self.truth), ("the same through the autoencoder", &self.autoencoder)]
        {
            let _ = writeln!(text, "| {name} |  |  |  |  |  | {} |", counted(measured));
        }
        text + &self.notes()
    }

    /// One row for each line and number of steps; shares in 0..1, empty if nothing was measured.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "line,sampler,steps,evaluations,time_ratio,mean_psnr_db,psnr_of_mean_db,top_1,top_5,colour_trained,\
             colour_held_out,background_trained,background_held_out,count_trained,count_held_out,frechet,\
             nearest_training,nearer_training\n",
        );
        let field = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        for point in &self.points {
            let Point { line, sampler, steps, evaluations, near, measured: m, time } = point;
            let numbers = [
                *time,
                near.map(|near| near.mean_psnr_db),
                near.map(|near| near.psnr_of_mean_db),
                m.top_1,
                m.top_5,
                m.colour.trained,
                m.colour.held_out,
                m.background.trained,
                m.background.held_out,
                m.count.trained,
                m.count.held_out,
                m.frechet,
                m.nearest_training,
                m.nearer_training,
            ];
            let sampler = sampler.as_deref().unwrap_or("own");
            let line = format!("\"{}\"", line.replace('"', "\"\""));
            let _ = writeln!(text, "{line},{sampler},{steps},{evaluations},{}", numbers.map(field).join(","));
        }
        text
    }

    /// The charts over evaluations of the network, with the names of their files.
    pub fn charts(&self) -> Vec<(&'static str, Chart)> {
        let db = format!("PSNR to the teacher's {} steps, in dB (more is nearer)", self.settings.reference_steps);
        let mut charts = vec![
            ("psnr", self.chart(&db, Scale::Linear, |p| p.near.map(|near| near.mean_psnr_db.min(EQUAL_DB)))),
            ("retrieval", self.chart("Nearest of all glyphs is the asked one", Scale::Share, |p| p.measured.top_1)),
            ("colour", self.split("Asked colour is there", |m| m.colour)),
            ("background", self.split("Asked background is there", |m| m.background)),
            ("count", self.split("Asked count is there", |m| m.count)),
        ];
        if let (Some(floor), Some(through)) = (self.truth.frechet, self.autoencoder.frechet) {
            let mut chart =
                self.chart("Fréchet distance to the dataset (less is nearer)", Scale::Linear, |p| p.measured.frechet);
            chart.levels = vec![
                Level { name: "the dataset to itself".into(), value: floor },
                Level { name: "through the autoencoder".into(), value: through },
            ];
            charts.push(("frechet", chart));
        }
        charts.retain(|(_, chart)| chart.lines.iter().any(|line| !line.points.is_empty()));
        charts
    }

    /// The legend's text for dashed lines.
    pub const DASHED: &'static str = "dashed: combinations never seen in training";

    fn chart(&self, title: &str, y: Scale, value: impl Fn(&Point) -> Option<f64>) -> Chart {
        let (title, x_label) = (title.to_owned(), "evaluations of the network for one picture".to_owned());
        Chart { title, x_label, doubling: true, y, lines: self.lines(false, value), levels: Vec::new() }
    }

    fn split(&self, title: &str, split: impl Fn(&Measured) -> Split) -> Chart {
        let mut chart = self.chart(title, Scale::Share, |point| split(&point.measured).trained);
        chart.lines.extend(self.lines(true, |point| split(&point.measured).held_out));
        if let Some(ceiling) = split(&self.truth).trained {
            chart.levels.push(Level { name: "the dataset's own pictures".into(), value: ceiling });
        }
        chart
    }

    /// One line for each name, in the order of their first points.
    fn lines(&self, dashed: bool, value: impl Fn(&Point) -> Option<f64>) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for point in &self.points {
            if !lines.iter().any(|line| line.name == point.line) {
                lines.push(Line { name: point.line.clone(), dashed, points: Vec::new() });
            }
            let line = lines.iter_mut().find(|line| line.name == point.line);
            if let (Some(line), Some(y)) = (line, value(point)) {
                line.points.push((point.evaluations, y));
            }
        }
        for line in &mut lines {
            line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        lines
    }

    fn notes(&self) -> String {
        let s = &self.settings;
        let of = |group: Group| self.groups.iter().find(|(g, _)| *g == group).map_or(0, |(_, count)| *count);
        let (trained, held_out) = (Combinations::Trained, Combinations::HeldOut);
        let reference_s = self.reference_s.map(|s| format!(" ({s:.2} s here)")).unwrap_or_default();
        let shares = [Group::Colour as fn(Combinations) -> Group, Group::Background, Group::Count]
            .map(|group| format!("{} / {}", of(group(trained)), of(group(held_out))))
            .join(", ");
        format!(
            "\n{} pictures a row, the same prompts from the same noise (seed {}), guidance {}, {} px. \
             Evaluations of the network and time are for one picture; time is that of one picture drawn alone, as a share \
             of the teacher's at {} steps in the same run{reference_s}. PSNR (dB, mean over pictures) is to that teacher's \
             pictures. Top 1 and 5: the asked glyph is the nearest, or among the five nearest, of all ({} plain prompts). \
             Colour, background and count: share that shows what was asked, by program, combinations seen in training / \
             never seen ({shares} prompts). Fréchet: distance of the features of a small classifier to those of {} other \
             pictures of the dataset. Nearest training: median distance of held-out combinations to the nearest of {} \
             training pictures (8-bit steps, at half size); nearer to training: share of them that are nearer to it than \
             to the true picture of their caption.\n",
            s.pictures,
            s.seed,
            s.guidance_scale,
            s.size,
            s.reference_steps,
            of(Group::Plain),
            s.pictures,
            s.training_pictures,
        )
    }
}

/// The columns from "top 1" on.
fn counted(m: &Measured) -> String {
    let split = |split: Split| match (split.trained, split.held_out) {
        (None, None) => "–".to_owned(),
        (trained, held_out) => format!("{} / {}", percent(trained), percent(held_out)),
    };
    let columns = [
        percent(m.top_1),
        percent(m.top_5),
        split(m.colour),
        split(m.background),
        split(m.count),
        number(m.frechet, 2),
        number(m.nearest_training, 1),
        percent(m.nearer_training),
    ];
    columns.join(" | ")
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Near, Settings};
    use super::*;

    fn report() -> Report {
        let settings = Settings {
            pictures: 20,
            guidance_scale: 2.0,
            reference_steps: 64,
            size: 64,
            seed: 0,
            training_pictures: 100,
            training_seed: 1,
            timing_rounds: 0,
            batch: 8,
        };
        let point = |line: &str, steps: usize, evaluations: f64, psnr: Option<f64>| Point {
            line: line.into(),
            sampler: None,
            steps,
            evaluations,
            near: psnr.map(|db| Near { mean_psnr_db: db, psnr_of_mean_db: db - 1.0 }),
            measured: Measured { top_1: Some(0.5), frechet: Some(3.0), ..Measured::default() },
            time: Some(0.25),
        };
        Report {
            settings,
            groups: vec![(Group::Plain, 20)],
            points: vec![
                point("teacher", 64, 128.0, None),
                point("teacher", 4, 8.0, Some(17.25)),
                point("student", 4, 4.0, Some(25.0)),
            ],
            truth: Measured { frechet: Some(0.4), ..Measured::default() },
            autoencoder: Measured { frechet: Some(0.9), ..Measured::default() },
            reference_s: None,
        }
    }

    #[test]
    fn rows_hold_their_numbers() {
        let report = report();
        let table = report.markdown();
        let row = "| teacher | own | 4 | 8 | 0.250 | 17.2 | 50.0 % | – | – | – | – | 3.00 | – | – |";
        assert!(table.contains(row), "{table}");
        assert!(
            table.lines().take_while(|line| line.starts_with('|')).all(|l| l.matches('|').count() == 15),
            "{table}"
        );
        let csv = report.csv();
        assert!(csv.contains("\"student\",own,4,4,0.25,25,24,0.5,,,,,,,,3,,\n"), "{csv}");
        let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, [18; 4]);
    }

    #[test]
    fn charts_have_a_line_for_each_model_and_leave_out_what_was_not_measured() {
        let charts = report().charts();
        assert_eq!(charts.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["psnr", "retrieval", "frechet"]);
        let names: Vec<&str> = charts[0].1.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["teacher", "student"]);
        assert_eq!(charts[1].1.lines[0].points, [(8.0, 0.5), (128.0, 0.5)], "sorted by evaluations");
        assert_eq!(charts[2].1.levels.len(), 2);
    }
}
