//! The report on edits as tables for people, and as a chart of what is asked against what is kept.

use std::fmt::Write;

use super::{Report, Row, Way};
use crate::chart::{Chart, Line, Scale, figure};

impl Report {
    /// A line for each method and strength over all cases; then each group on its own.
    pub fn markdown(&self) -> String {
        let whole: Vec<&Row> = self.rows.iter().filter(|row| row.group.is_none()).collect();
        let unit = whole.iter().find(|row| row.way == Way::TextToImage).map_or(f64::NAN, |row| row.seconds);
        let told = whole.iter().any(|row| row.same_thing.is_some());
        let mut text = format!(
            "| method | strength | asked change is there |{} PSNR to the true result | time of a picture |\n|---|---:|---:|{}---:|---:|\n",
            if told { " thing is right |" } else { "" },
            if told { "---:|" } else { "" },
        );
        for row in &whole {
            let same = row.same_thing.map_or(String::new(), |share| format!(" {:.0} % |", 100.0 * share));
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} % |{same} {:.1} dB | {} |",
                row.way.label(),
                strength(row),
                100.0 * row.found,
                row.psnr,
                if row.way.edits() { format!("{:.1}", row.seconds / unit) } else { String::new() },
            );
        }
        let cases = whole.first().map_or(0, |row| row.cases);
        let _ = writeln!(text, "\n{cases} edits. Times are in pictures of text to image, on the same device.\n");
        text + &self.groups()
    }

    /// Share with the asked change, and PSNR, of every group.
    fn groups(&self) -> String {
        let mut names: Vec<(&str, usize)> = Vec::new();
        for row in &self.rows {
            let named = row.group.as_deref().map(|name| (name, row.cases));
            names.extend(named.filter(|named| !names.contains(named)));
        }
        let mut text = "| method | strength |".to_owned();
        for (name, cases) in &names {
            let _ = write!(text, " {name} ({cases}) |");
        }
        let _ = writeln!(text, "\n|---|---:|{}", "---:|".repeat(names.len()));
        let mut rows = self.rows.iter().peekable();
        while let Some(whole) = rows.next() {
            let _ = write!(text, "| {} | {} |", whole.way.label(), strength(whole));
            while let Some(row) = rows.next_if(|row| row.group.is_some()) {
                let _ = write!(text, " {:.0} %, {:.1} dB |", 100.0 * row.found, row.psnr);
            }
            text.push('\n');
        }
        text
    }

    /// Share with the asked change over the distance to the true result, as SVG: further up and to the right is better.
    pub fn chart(&self) -> String {
        let line = |way: Way| {
            let rows = self.rows.iter().filter(|row| row.way == way && row.group.is_none());
            let mut points: Vec<(f64, f64)> = rows.map(|row| (row.psnr, row.found)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Line { name: way.label().into(), dashed: false, points }
        };
        let lines = Way::ALL.map(line).into_iter().filter(|line| line.points.iter().all(|(x, _)| x.is_finite()));
        let chart = Chart {
            title: "asked change is there (up and right is better)".into(),
            x_label: "PSNR to the true result, dB".into(),
            y: Scale::Share,
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
            ..Chart::default()
        };
        figure(&[chart], 1, "")
    }
}

impl Way {
    fn edits(self) -> bool {
        !matches!(self, Self::Nothing | Self::Autoencoder)
    }
}

fn strength(row: &Row) -> String {
    row.strength.map_or(String::new(), |strength| strength.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::edits::Settings;

    #[test]
    fn tables_have_a_line_for_each_method_and_a_column_for_each_group() {
        let row = |way, strength, group: Option<&str>, found| Row {
            way,
            strength,
            group: group.map(str::to_owned),
            cases: if group.is_some() { 2 } else { 4 },
            found,
            same_thing: Some(1.0),
            psnr: 20.0,
            seconds: if way == Way::TextToImage { 2.0 } else { 5.0 },
        };
        let rows = vec![
            row(Way::TextToImage, None, None, 0.5),
            row(Way::TextToImage, None, Some("colour"), 0.0),
            row(Way::TextToImage, None, Some("size"), 1.0),
            row(Way::FlowEdit, Some(0.75), None, 0.25),
            row(Way::FlowEdit, Some(0.75), Some("colour"), 0.5),
            row(Way::FlowEdit, Some(0.75), Some("size"), 0.0),
        ];
        let settings = Settings {
            model: "m".into(),
            edits: 4,
            set_aside: false,
            seed: 0,
            strengths: vec![0.75],
            steps: None,
            guidance: None,
            source_guidance: None,
            n_avg: None,
            imagic: None,
        };
        let report = Report { settings, rows };
        let text = report.markdown();
        for line in [
            "| text to image |  | 50 % | 100 % | 20.0 dB | 1.0 |",
            "| FlowEdit | 0.75 | 25 % | 100 % | 20.0 dB | 2.5 |",
            "| method | strength | colour (2) | size (2) |",
            "| FlowEdit | 0.75 | 50 %, 20.0 dB | 0 %, 20.0 dB |",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(report.chart().contains("FlowEdit"));
    }
}
