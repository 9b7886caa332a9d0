//! Bars with the quartiles as whiskers, drawn by hand.

use crate::stats::Spread;
use std::fmt::Write as _;

const WIDTH: f64 = 940.0;
const LABELS: f64 = 340.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 46.0;

pub struct Bar {
    pub label: String,
    pub value: Spread,
    /// A red line
    pub goal: Option<f64>,
    pub ours: bool,
}

pub struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
}

pub fn draw(panels: &[Panel]) -> Result<String, std::fmt::Error> {
    let rows: f64 = panels.iter().map(|panel| HEAD + ROW * panel.bars.len() as f64).sum();
    let height = rows + ROW;
    let mut out = String::new();
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">"
    )?;
    writeln!(out, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>")?;
    let mut top = 0.0;
    for panel in panels {
        top = draw_panel(&mut out, panel, top)?;
    }
    writeln!(out, "</svg>")?;
    Ok(out)
}

/// Where the next panel starts.
fn draw_panel(out: &mut String, panel: &Panel, top: f64) -> Result<f64, std::fmt::Error> {
    let largest = panel.bars.iter().map(|bar| bar.value.q3.max(bar.goal.unwrap_or(0.0))).fold(1.0, f64::max);
    let x = |value: f64| LABELS + value.max(0.0) / largest * (WIDTH - LABELS - RIGHT);
    writeln!(
        out,
        "<text x=\"10\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
        top + HEAD - 14.0,
        escaped(&panel.title)
    )?;
    let mut y = top + HEAD;
    for bar in &panel.bars {
        let (middle, color) = (y + ROW / 2.0, if bar.ours { "#2b6cb0" } else { "#a0aec0" });
        let Spread { q1, median, q3 } = bar.value;
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 8.0,
            middle + 4.0,
            escaped(&bar.label)
        )?;
        writeln!(
            out,
            "<rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{color}\"/>",
            y + 3.0,
            x(median) - LABELS,
            ROW - 6.0
        )?;
        writeln!(
            out,
            "<path d=\"M{:.1} {middle:.1}H{:.1}M{:.1} {:.1}v8M{:.1} {:.1}v8\" stroke=\"#1a202c\" fill=\"none\"/>",
            x(q1),
            x(q3),
            x(q1),
            middle - 4.0,
            x(q3),
            middle - 4.0
        )?;
        if let Some(goal) = bar.goal {
            writeln!(
                out,
                "<path d=\"M{:.1} {y:.1}v{ROW}\" stroke=\"#c53030\" stroke-width=\"2\"/>",
                x(goal)
            )?;
        }
        writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\">{median:.1}</text>", x(q3) + 6.0, middle + 4.0)?;
        y += ROW;
    }
    Ok(y)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_longest() {
        let bar = |median: f64| Bar {
            label: "a < b".into(),
            value: Spread { q1: median, median, q3: median },
            goal: None,
            ours: true,
        };
        let mut out = String::new();
        let panel = Panel { title: "t".into(), bars: vec![bar(50.0), bar(100.0)] };
        assert_eq!(draw_panel(&mut out, &panel, 0.0).unwrap(), HEAD + 2.0 * ROW);
        assert!(out.contains("width=\"255.0\"") && out.contains("width=\"510.0\""), "{out}");
        assert!(out.contains("a &lt; b"));
    }
}
