//! The report on guidance: tables, a file for programs, and charts.

use std::fmt::Write;

use super::{Agreement, Look, Negative, Report, Wording};
use crate::chart::{Chart, Line};

impl Report {
    /// Markdown: agreement over scales, negative prompts by wording, and open ones by colour.
    pub fn markdown(&self) -> String {
        let Report { settings, agreement, negatives } = self;
        let (teacher, student) = (settings.teacher_steps, settings.student_steps);
        let mut text = String::new();
        if !agreement.is_empty() {
            let _ = writeln!(
                text,
                "| guidance | PSNR, student {student} steps | PSNR, teacher {student} steps | change of the teacher | of the \
                 student | saturation, teacher | student | contrast, teacher | student |\n\
                 |---:|---:|---:|---:|---:|---:|---:|---:|---:|"
            );
            for row in agreement {
                let Agreement { scale, student_db, few_db, teacher: t, student: s } = row;
                let _ = writeln!(
                    text,
                    "| {scale} | {student_db:.1} | {few_db:.1} | {:.1} | {:.1} | {:.3} | {:.3} | {:.1} | {:.1} |",
                    t.moved, s.moved, t.saturation, s.saturation, t.contrast, s.contrast
                );
            }
            let _ = writeln!(
                text,
                "\n{} pictures a row, the same prompts from the same noise (seed {}). PSNR (dB, mean over pictures) is to the \
                 teacher's {teacher} steps at the same guidance. Change: root of the mean squared difference to the same \
                 model's pictures at guidance {}, in 8-bit steps.\n",
                settings.pictures,
                settings.seed,
                settings.scales.first().copied().unwrap_or_default()
            );
        }
        if !negatives.is_empty() {
            text += &self.negative_tables();
        }
        text
    }

    fn negative_tables(&self) -> String {
        let mut text = String::from(
            "| prompt | model | steps | drawn to find them | cases | colour gone | control: gone with another colour as \
             negative prompt | clearly another colour instead |\n|---|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for negative in &self.negatives {
            let Negative { model, steps, wording, candidates, cases, .. } = negative;
            let share =
                |hit: &dyn Fn(&super::Case) -> bool| percent(cases.iter().filter(|c| hit(c)).count(), cases.len());
            let _ = writeln!(
                text,
                "| {} | {model} | {steps} | {candidates} | {} | {} | {} | {} |",
                wording.words(),
                cases.len(),
                share(&|case| case.gone),
                share(&|case| case.gone_with_other),
                share(&|case| case.gone && case.instead.is_some())
            );
        }
        let _ = writeln!(
            text,
            "\nA case is a picture in which the judge sees a colour. It is drawn again from the same noise with that colour as \
             negative prompt, at guidance {}. The control is drawn with another colour of the palette as negative prompt: what \
             changes because there is a negative prompt at all. Only the difference of the two columns is due to the colour \
             that was named.\n",
            self.settings.guidance_scale
        );
        let open = |n: &&Negative| matches!(n.wording, Wording::OpenColour | Wording::OpenBackground);
        text += "| open prompts, by colour: gone of cases | model | ";
        let mut colours: Vec<&str> = Vec::new();
        for case in self.negatives.iter().filter(open).flat_map(|negative| &negative.cases) {
            if !colours.contains(&case.colour.as_str()) {
                colours.push(&case.colour);
            }
        }
        colours.sort_unstable();
        let _ = writeln!(text, "{} |\n|---|---|{}", colours.join(" | "), "---:|".repeat(colours.len().max(1)));
        for negative in self.negatives.iter().filter(open) {
            let of = |colour: &&str| {
                let these = || negative.cases.iter().filter(|case| case.colour == **colour);
                format!("{} of {}", these().filter(|case| case.gone).count(), these().count())
            };
            let counts: Vec<String> = colours.iter().map(of).collect();
            let _ = writeln!(text, "| {} | {} | {} |", negative.wording.words(), negative.model, counts.join(" | "));
        }
        text
    }

    /// One row for each scale.
    pub fn agreement_csv(&self) -> String {
        let mut text = String::from(
            "guidance_scale,student_psnr_db,few_steps_psnr_db,teacher_moved,student_moved,teacher_saturation,\
             student_saturation,teacher_contrast,student_contrast\n",
        );
        for Agreement { scale, student_db, few_db, teacher: t, student: s } in &self.agreement {
            let _ = writeln!(
                text,
                "{scale},{student_db},{few_db},{},{},{},{},{},{}",
                t.moved, s.moved, t.saturation, s.saturation, t.contrast, s.contrast
            );
        }
        text
    }

    /// One row for each case.
    pub fn negative_csv(&self) -> String {
        let mut text =
            String::from("wording,model,steps,prompt,seed,colour,negative_prompt,gone,instead,gone_with_other\n");
        for negative in &self.negatives {
            for case in &negative.cases {
                let _ = writeln!(
                    text,
                    "{:?},{},{},\"{}\",{},{},\"{}\",{},{},{}",
                    negative.wording,
                    negative.model,
                    negative.steps,
                    case.ask.prompt,
                    case.ask.seed,
                    case.colour,
                    case.ask.negative_prompt,
                    case.gone,
                    case.instead.as_deref().unwrap_or_default(),
                    case.gone_with_other
                );
            }
        }
        text
    }

    /// Agreement, change, saturation and contrast over the guidance scale.
    pub fn charts(&self) -> Vec<Chart> {
        let settings = &self.settings;
        let teacher = format!("teacher, {} steps", settings.teacher_steps);
        let few = format!("teacher, {} steps", settings.student_steps);
        let student = format!("student, {} steps", settings.student_steps);
        let line = |name: &str, value: &dyn Fn(&Agreement) -> f64| Line {
            name: name.to_owned(),
            dashed: false,
            points: self.agreement.iter().map(|row| (f64::from(row.scale), value(row))).collect(),
        };
        let chart = |title: &str, lines: Vec<Line>| Chart {
            title: title.to_owned(),
            x_label: "guidance scale".into(),
            lines,
            ..Chart::default()
        };
        let both = |title: &str, look: fn(&Look) -> f64| {
            chart(title, vec![line(&teacher, &|row| look(&row.teacher)), line(&student, &|row| look(&row.student))])
        };
        let first = settings.scales.first().copied().unwrap_or_default();
        let nearness = vec![line(&student, &|row| row.student_db), line(&few, &|row| row.few_db)];
        vec![
            both(&format!("Change against guidance {first}, in 8-bit steps"), |look| look.moved),
            chart(&format!("PSNR to the teacher's {} steps, in dB", settings.teacher_steps), nearness),
            both("Saturation, 0 to 1", |look| look.saturation),
            both("Contrast, in 8-bit steps", |look| look.contrast),
        ]
    }
}

impl Wording {
    /// The wording with an example.
    pub fn words(self) -> &'static str {
        match self {
            Self::OpenColour => "colour open (\"a colourful fox\")",
            Self::OpenBackground => "background open (\"a fox on a coloured background\")",
            Self::Named => "colour named (\"a green fox\")",
            Self::Implied => "colour implied (\"a frog\")",
        }
    }
}

fn percent(hits: usize, of: usize) -> String {
    if of == 0 { "–".to_owned() } else { format!("{:.0} %", 100.0 * hits as f64 / of as f64) }
}

#[cfg(test)]
mod tests {
    use super::super::super::store::Ask;
    use super::super::{Case, Settings};
    use super::*;

    fn report() -> Report {
        let look = |moved| Look { moved, saturation: 0.5, contrast: 40.0 };
        let row = |scale, db| Agreement { scale, student_db: db, few_db: 10.0, teacher: look(0.0), student: look(3.0) };
        let case = |colour: &str, gone, instead: Option<&str>| Case {
            ask: Ask { negative_prompt: colour.into(), ..Ask::plain("a colourful fox", 7) },
            colour: colour.into(),
            gone,
            instead: instead.map(str::to_owned),
            gone_with_other: false,
        };
        let negative = |wording, cases| Negative {
            model: "student".into(),
            steps: 4,
            wording,
            candidates: 9,
            cases,
            pictures: Vec::new(),
        };
        let open = vec![case("red", true, Some("blue")), case("red", false, None), case("green", true, None)];
        let settings = Settings {
            pictures: 8,
            scales: vec![1.0, 2.0],
            teacher_steps: 64,
            student_steps: 4,
            guidance_scale: 2.0,
            cases: 3,
            other_cases: 0,
            size: 64,
            seed: 0,
        };
        let negatives = vec![negative(Wording::OpenColour, open), negative(Wording::Named, Vec::new())];
        Report { settings, agreement: vec![row(1.0, 25.0), row(2.0, 24.5)], negatives }
    }

    #[test]
    fn tables_hold_their_numbers() {
        let table = report().markdown();
        assert!(table.contains("| 2 | 24.5 | 10.0 | 0.0 | 3.0 | 0.500 | 0.500 | 40.0 | 40.0 |"), "{table}");
        assert!(table.contains("(\"a colourful fox\") | student | 4 | 9 | 3 | 67 % | 0 % | 33 % |"), "{table}");
        assert!(table.contains("(\"a green fox\") | student | 4 | 9 | 0 | – | – | – |"), "{table}");
        assert!(table.contains("| green | red |") && table.contains("| 1 of 1 | 1 of 2 |"), "{table}");
        assert!(
            report().negative_csv().contains("OpenColour,student,4,\"a colourful fox\",7,red,\"red\",true,blue,false")
        );
        assert!(report().agreement_csv().contains("\n2,24.5,10,0,3,0.5,0.5,40,40\n"));
        assert_eq!(report().charts()[1].lines[0].points, [(1.0, 25.0), (2.0, 24.5)]);
    }
}
