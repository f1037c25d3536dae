//! Line charts as SVG: the loss over the steps of a run, and what an evaluation counts over evaluations or guidance.

use std::fmt::Write as _;

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// The title: what is shown, and whether more is better.
    pub title: String,
    /// The label below the x axis.
    pub x_label: String,
    /// Whether x doubles from tick to tick; otherwise it is linear.
    pub doubling: bool,
    /// The scale of the y axis.
    pub y: Scale,
    /// The lines, in drawing order.
    pub lines: Vec<Line>,
    /// Horizontal lines to compare with.
    pub levels: Vec<Level>,
}

/// The scale of the y axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Linear, from 0 unless every value is far from it.
    #[default]
    Linear,
    /// Shares from 0 to 1, shown as 0 to 100 per cent.
    Share,
    /// Logarithmic; values must be above 0.
    Log,
}

/// One line. Lines with the same name have the same colour in all charts of a figure.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Whether it is dashed: for a second kind of values, for example held-out combinations.
    pub dashed: bool,
    /// (x, y) from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A horizontal line.
#[derive(Clone, Debug)]
pub struct Level {
    /// Its label.
    pub name: String,
    /// Its y value.
    pub value: f64,
}

/// Arranges the charts in rows of `columns`, with one legend; `dashed` is the legend's text for dashed lines.
///
/// # Panics
/// When `columns` is 0.
pub fn figure(charts: &[Chart], columns: usize, dashed: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for line in charts.iter().flat_map(|chart| &chart.lines) {
        if !names.contains(&line.name.as_str()) {
            names.push(&line.name);
        }
    }
    let columns = columns.min(charts.len().max(1));
    let width = columns as f64 * WIDTH;
    let with_dashes = charts.iter().flat_map(|chart| &chart.lines).any(|line| line.dashed);
    let (legend, top) = legend(&names, with_dashes.then_some(dashed), width);
    let height = top + charts.len().div_ceil(columns) as f64 * HEIGHT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{legend}"
    );
    for (i, chart) in charts.iter().enumerate() {
        let (left, top) = ((i % columns) as f64 * WIDTH, top + (i / columns) as f64 * HEIGHT);
        let _ = writeln!(out, "<g transform=\"translate({left} {top})\">\n{}</g>", Panel::new(chart).draw(&names));
    }
    out + "</svg>\n"
}

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 44.0;
/// Approximate width of a letter at 11 pixels.
const LETTER: f64 = 6.2;
/// A line with more points than this is thin and has no markers.
const MARKED: usize = 40;
/// If there are more x values than this, the axis has round ticks instead of one for each value.
const OWN_TICKS: usize = 12;

/// Colours that remain distinguishable with every common colour blindness (Okabe & Ito, 2008), without yellow. After
/// the last they repeat.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"];

/// The legend's SVG and its height.
fn legend(names: &[&str], dashed: Option<&str>, width: f64) -> (String, f64) {
    let entries = names.iter().enumerate().map(|(i, name)| (*name, COLOURS[i % COLOURS.len()], false, Some(i)));
    let entries = entries.chain(dashed.map(|text| (text, "#888", true, None)));
    let (mut out, mut x, mut y) = (String::new(), LEFT, 18.0);
    for (name, colour, dashes, marked) in entries {
        let wide = 44.0 + LETTER * name.chars().count() as f64;
        if x + wide > width - RIGHT && x > LEFT {
            (x, y) = (LEFT, y + 18.0);
        }
        let _ = write!(out, "<path d=\"M{x} {}h24\" {}/>", y - 4.0, stroke(colour, dashes, 2));
        if let Some(i) = marked {
            out += &marker(i, x + 12.0, y - 4.0);
        }
        let _ = writeln!(out, "<text x=\"{}\" y=\"{y}\">{}</text>", x + 30.0, escaped(name));
        x += wide;
    }
    (out, y + 10.0)
}

/// A chart with the ranges of its axes.
struct Panel<'a> {
    chart: &'a Chart,
    x: (f64, f64),
    /// Ticks of y, ascending; the axis goes from the first to the last.
    ticks: Vec<f64>,
}

impl<'a> Panel<'a> {
    fn new(chart: &'a Chart) -> Self {
        let points = || chart.lines.iter().flat_map(|line| &line.points);
        let scaled = |x: f64| if chart.doubling { x.max(f64::MIN_POSITIVE).log2() } else { x };
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            if low > high { (0.0, 1.0) } else { (low, high) }
        };
        let mut x = range(&mut points().map(|point| scaled(point.0)));
        if x.1 - x.0 < 1e-9 {
            x = (x.0 - 1.0, x.1 + 1.0);
        }
        let levels = chart.levels.iter().map(|level| level.value);
        let (low, high) = range(&mut points().map(|point| point.1).chain(levels));
        let ticks = match chart.y {
            Scale::Share => (0..=5).map(|i| 0.2 * f64::from(i)).collect(),
            Scale::Log if low > 0.0 => decades(low, high),
            Scale::Log => decades(0.1, 1.0),
            Scale::Linear => {
                let low = if low > 0.0 && low < 0.6 * high { 0.0 } else { low };
                let step = round_step((high - low).max(1e-9 * high.abs()).max(1e-12) / 4.0);
                let (first, last) = ((low / step).floor(), (high / step).ceil().max((low / step).floor() + 1.0));
                (0..=(last - first) as usize).map(|i| first * step + i as f64 * step).collect()
            }
        };
        Self { chart, x, ticks }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let x = if self.chart.doubling { x.max(f64::MIN_POSITIVE).log2() } else { x };
        let across = (x - self.x.0) / (self.x.1 - self.x.0);
        let scaled = |y: f64| if self.chart.y == Scale::Log { y.max(f64::MIN_POSITIVE).log10() } else { y };
        let (low, high) = (scaled(self.ticks[0]), scaled(self.ticks[self.ticks.len() - 1]));
        let up = (scaled(y) - low) / (high - low);
        // Some space at both sides for the markers.
        let inner = WIDTH - LEFT - RIGHT - 20.0;
        (LEFT + 10.0 + across * inner, HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))
    }

    fn draw(&self, names: &[&str]) -> String {
        let mut out = format!(
            "<text x=\"{LEFT}\" y=\"16\" font-size=\"13\">{}</text>\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            escaped(&self.chart.title),
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 10.0,
            escaped(&self.chart.x_label)
        );
        self.axes(&mut out);
        for level in &self.chart.levels {
            let (_, y) = self.place((1.0, level.value));
            let (end, over) = (WIDTH - RIGHT, if y < TOP + 14.0 { y + 12.0 } else { y - 3.0 });
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#888\" stroke-dasharray=\"1 3\"/>\
                 <text x=\"{end}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\" font-size=\"10\">{}</text>",
                over,
                escaped(&level.name)
            );
        }
        for line in &self.chart.lines {
            let index = names.iter().position(|name| *name == line.name).unwrap_or(0);
            let places: Vec<(f64, f64)> = line.points.iter().map(|point| self.place(*point)).collect();
            let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let marked = places.len() <= MARKED;
            let stroke = stroke(COLOURS[index % COLOURS.len()], line.dashed, if marked { 2 } else { 1 });
            let _ = writeln!(out, "<polyline points=\"{}\" {stroke}/>", points.join(" "));
            places.iter().filter(|_| marked).for_each(|(x, y)| out += &marker(index, *x, *y));
        }
        out
    }

    fn axes(&self, out: &mut String) {
        let decimals = (-(self.ticks[1] - self.ticks[0]).log10().floor()).clamp(0.0, 6.0) as usize;
        for value in &self.ticks {
            let (_, y) = self.place((1.0, *value));
            let text = match self.chart.y {
                Scale::Share => format!("{:.0} %", 100.0 * value),
                Scale::Linear => format!("{value:.decimals$}"),
                Scale::Log => format!("{value}"),
            };
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#e2e2e2\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0
            );
        }
        for value in self.x_ticks() {
            let (x, _) = self.place((value, 0.0));
            let (bottom, text) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 16.0);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {bottom}v4\" stroke=\"#888\"/><text x=\"{x:.1}\" y=\"{text}\" text-anchor=\"middle\">{value}</text>"
            );
        }
    }

    fn x_ticks(&self) -> Vec<f64> {
        if self.chart.doubling {
            let (low, high) = (self.x.0.ceil() as i32, self.x.1.floor() as i32);
            return (low..=high).map(|power| 2f64.powi(power)).collect();
        }
        let mut values: Vec<f64> = self.chart.lines.iter().flat_map(|line| &line.points).map(|p| p.0).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        if values.len() > OWN_TICKS {
            let step = round_step((self.x.1 - self.x.0) / 6.0);
            let (first, last) = ((self.x.0 / step).ceil() as i64, (self.x.1 / step).floor() as i64);
            return (first..=last).map(|i| i as f64 * step).collect();
        }
        values
    }
}

/// The smallest of 1, 2 or 5 times a power of ten that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Numbers that are 1, 2 or 5 times a power of ten, around `low` to `high` (both above 0); at least two.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().floor() as i32 + 1);
    // Formatted and parsed again, so that a tick is exactly the number of its label.
    let all: Vec<f64> = powers
        .flat_map(|power| [1, 2, 5].map(|digit| format!("{digit}e{power}").parse().unwrap_or(f64::NAN)))
        .collect();
    let first = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let last = all.iter().position(|tick| *tick >= high).unwrap_or(all.len() - 1);
    all[first..=last.max(first + 1)].to_vec()
}

fn stroke(colour: &str, dashed: bool, width: u8) -> String {
    let dashes = if dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}")
}

/// A disc, a square or a diamond, so that lines differ not only in colour.
fn marker(index: usize, x: f64, y: f64) -> String {
    let colour = COLOURS[index % COLOURS.len()];
    match index % 3 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n"),
        1 => format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\" fill=\"{colour}\"/>\n", x - 3.5, y - 3.5),
        _ => format!("<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\" fill=\"{colour}\"/>\n", y - 5.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_their_values_are() {
        let line =
            |name: &str, points: &[(f64, f64)]| Line { name: name.into(), dashed: false, points: points.to_vec() };
        let chart = Chart {
            title: "a & b".into(),
            doubling: true,
            y: Scale::Share,
            lines: vec![line("x", &[(1.0, 0.0), (4.0, 0.5), (16.0, 1.0)]), line("y", &[(4.0, 0.25)])],
            ..Chart::default()
        };
        let drawn = figure(&[chart.clone(), Chart { lines: vec![line("y", &[(1.0, 1.0)])], ..chart }], 2, "held out");
        let (left, right) = (LEFT + 10.0, WIDTH - RIGHT - 10.0);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let middle = ((left + right) / 2.0, (top + bottom) / 2.0);
        let points = format!("{left:.1},{bottom:.1} {:.1},{:.1} {right:.1},{top:.1}", middle.0, middle.1);
        assert!(drawn.contains(&format!("points=\"{points}\"")), "{drawn}");
        assert!(drawn.contains("a &amp; b") && drawn.contains(">16</text>") && drawn.contains(">40 %</text>"));
        // The second line has the same colour in both charts.
        assert_eq!(drawn.matches(&format!("stroke=\"{}\"", COLOURS[1])).count(), 3, "legend and two charts");
        assert!(!drawn.contains("held out"), "nothing is dashed");
    }

    #[test]
    fn ticks_are_round_and_empty_charts_draw() {
        assert_eq!([0.3, 1.0, 1.1, 4.0, 60.0].map(round_step), [0.5, 1.0, 2.0, 5.0, 100.0]);
        let levels = vec![Level { name: "floor".into(), value: 3.2 }];
        let drawn = figure(&[Chart { levels, ..Chart::default() }], 3, "");
        assert!(drawn.contains("floor") && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        figure(&[], 3, "");
    }

    #[test]
    fn a_falling_loss_is_a_straight_line_in_its_logarithm() {
        assert_eq!(decades(0.01, 1.0), [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]);
        assert_eq!(decades(0.3, 0.3), [0.2, 0.5]);
        assert_eq!(decades(0.5, 0.5), [0.5, 1.0]);
        let points: Vec<(f64, f64)> =
            (0..=100).map(|i| (f64::from(i), 10f64.powf(-2.0 * f64::from(i) / 100.0))).collect();
        let line = Line { name: "loss".into(), dashed: false, points };
        let drawn = figure(&[Chart { y: Scale::Log, lines: vec![line], ..Chart::default() }], 1, "");
        let (left, right, bottom) = (LEFT + 10.0, WIDTH - RIGHT - 10.0, HEIGHT - BOTTOM);
        assert!(drawn.contains(&format!("points=\"{left:.1},{TOP:.1} ")), "{drawn}");
        assert!(drawn.contains(&format!(" {right:.1},{bottom:.1}\"")), "{drawn}");
        assert!(drawn.contains(&format!(" {:.1},{:.1} ", (left + right) / 2.0, (TOP + bottom) / 2.0)), "{drawn}");
        assert!(drawn.contains(">0.05</text>") && drawn.contains(">20</text>"), "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 1, "in the legend: {drawn}");
    }
}
