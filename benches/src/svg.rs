//! Sheets of bars with the quartiles as whiskers, drawn by hand.

use crate::stats::Spread;
use std::fmt::Write as _;

/// Of the whole sheet, whatever its columns.
const WIDTH: f64 = 980.0;
const MARGIN: f64 = 24.0;
const GUTTER: f64 = 32.0;
const TITLE: f64 = 56.0;
const HEAD: f64 = 34.0;
const ROW: f64 = 21.0;
const BAR: f64 = 13.0;
/// For the figure behind the longest bar.
const FIGURE: f64 = 64.0;
/// Of a letter, about: labels have no measure without a font.
const LETTER: f64 = 6.3;
const BELOW: f64 = 18.0;
/// A bar of more than this many medians of its panel is cut, so that it does not flatten all others.
const LONG: f64 = 2.5;

pub struct Bar {
    pub label: String,
    pub value: Spread,
    /// A red line
    pub goal: Option<f64>,
    pub tone: Tone,
}

/// What kind of bar it is, told by its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Ours,
    OursToo,
    /// What nobody can go below.
    Floor,
    Peer,
}

pub struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
}

pub struct Sheet {
    pub title: String,
    /// Panels beside each other, 1 at least.
    pub columns: usize,
    pub panels: Vec<Panel>,
}

pub fn draw(sheet: &Sheet) -> Result<String, std::fmt::Error> {
    let columns = sheet.columns.max(1);
    let width = (WIDTH - 2.0 * MARGIN - GUTTER * (columns - 1) as f64) / columns as f64;
    let mut body = String::new();
    let mut top = TITLE;
    for panels in sheet.panels.chunks(columns) {
        for (column, panel) in panels.iter().enumerate() {
            draw_panel(&mut body, panel, (MARGIN + (width + GUTTER) * column as f64, top), width)?;
        }
        top += panels.iter().map(height).fold(0.0, f64::max);
    }
    let height = top + MARGIN / 2.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"Helvetica, Arial, \
         'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#2d3748\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"32\" font-size=\"16\" font-weight=\"bold\">{}</text>",
        escaped(&sheet.title)
    )?;
    out.push_str(&body);
    out.push_str("</svg>\n");
    Ok(out)
}

fn height(panel: &Panel) -> f64 {
    HEAD + ROW * panel.bars.len() as f64 + BELOW
}

fn draw_panel(out: &mut String, panel: &Panel, (left, top): (f64, f64), width: f64) -> std::fmt::Result {
    let labels =
        panel.bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(0) as f64 * LETTER + 8.0;
    let longest = longest(panel);
    let scale = (width - labels - FIGURE) / longest;
    let x = |value: f64| left + labels + value.clamp(0.0, longest) * scale;
    writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
        top + HEAD - 13.0,
        escaped(&panel.title)
    )?;
    let (mut y, zero) = (top + HEAD, x(0.0));
    let bottom = y + ROW * panel.bars.len() as f64;
    for bar in &panel.bars {
        draw_bar(out, bar, &x, (left + labels, y), bar.value.median > longest)?;
        y += ROW;
    }
    writeln!(out, "<path d=\"M{zero:.1} {:.1}V{bottom:.1}\" stroke=\"#718096\"/>", top + HEAD)
}

fn draw_bar(
    out: &mut String,
    bar: &Bar,
    x: &dyn Fn(f64) -> f64,
    (zero, y): (f64, f64),
    cut: bool,
) -> std::fmt::Result {
    let Spread { q1, median, q3 } = bar.value;
    let middle = y + ROW / 2.0;
    let (color, weight) = match bar.tone {
        Tone::Ours => ("#2b6cb0", " font-weight=\"bold\""),
        Tone::OursToo => ("#90cdf4", ""),
        Tone::Floor => ("#68a691", ""),
        Tone::Peer => ("#cbd5e0", ""),
    };
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\"{weight}>{}</text>\n\
         <rect x=\"{zero:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{color}\"/>",
        zero - 7.0,
        middle + 4.0,
        escaped(&bar.label),
        middle - BAR / 2.0,
        x(median) - zero,
    )?;
    let end = if cut { x(median) } else { x(q3).max(x(median)) };
    if cut {
        writeln!(
            out,
            "<path d=\"M{:.1} {:.1}l5 -17h5l-5 17z\" fill=\"#fff\"/>",
            x(median) - 22.0,
            middle + 8.5
        )?;
    } else {
        writeln!(
            out,
            "<path d=\"M{:.1} {middle:.1}H{:.1}M{:.1} {:.1}v6M{:.1} {:.1}v6\" stroke=\"#1a202c\" fill=\"none\"/>",
            x(q1),
            x(q3),
            x(q1),
            middle - 3.0,
            x(q3),
            middle - 3.0
        )?;
    }
    if let Some(goal) = bar.goal {
        writeln!(out, "<path d=\"M{:.1} {y:.1}v{ROW}\" stroke=\"#c53030\" stroke-width=\"2\"/>", x(goal))?;
    }
    let places = usize::from(median < 1000.0);
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\"{weight}>{median:.places$}</text>", end + 6.0, middle + 4.0)
}

/// The value at the end of the scale.
fn longest(panel: &Panel) -> f64 {
    let mut medians: Vec<f64> = panel.bars.iter().map(|bar| bar.value.median).collect();
    medians.sort_by(f64::total_cmp);
    let limit = medians.get(medians.len() / 2).map_or(1.0, |median| LONG * median);
    let ends = panel.bars.iter().map(|bar| bar.value.q3.max(bar.goal.unwrap_or(0.0)));
    ends.fold(0.0, f64::max).min(limit).max(f64::MIN_POSITIVE)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(medians: &[f64]) -> String {
        let bar = |&median: &f64| Bar {
            label: "a < b".into(),
            value: Spread { q1: median, median, q3: median },
            goal: None,
            tone: Tone::Ours,
        };
        let panel = Panel { title: "t".into(), bars: medians.iter().map(bar).collect() };
        let mut out = String::new();
        draw_panel(&mut out, &panel, (0.0, 0.0), 5.0 * LETTER + 8.0 + FIGURE + 200.0).unwrap();
        out
    }

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_longest() {
        let out = bars(&[50.0, 100.0]);
        assert!(out.contains("width=\"100.0\"") && out.contains("width=\"200.0\""), "{out}");
        assert!(out.contains("a &lt; b"));
    }

    #[test]
    fn one_that_is_far_longer_is_cut_and_its_figure_stays() {
        let out = bars(&[40.0, 40.0, 1000.0]);
        // 2.5 medians are the whole scale: 40 % of it for each of the others.
        assert!(out.contains("width=\"80.0\"") && out.contains("width=\"200.0\""), "{out}");
        assert!(out.contains(">1000</text>"), "{out}");
    }
}
