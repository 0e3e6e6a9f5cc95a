//! The pictures beside the tables: a line for each contender, on logarithmic axes.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::Results;
use crate::contender::Contender;

const SIZE: (u32, u32) = (760, 420);

/// A picture: which measure of which sweep, and what the axes say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    /// Its file.
    pub(crate) file: &'static str,
    /// What it shows.
    pub(crate) title: &'static str,
    case: &'static str,
    measure: &'static str,
    x: &'static str,
    y: &'static str,
}

/// All pictures.
pub(crate) const ALL: [Picture; 3] = [
    Picture {
        file: "latency-against-load.svg",
        title: "Latency against load: p99 from publish to receive",
        case: "curve",
        measure: "publish to receive, p99",
        x: "deliveries/s",
        y: "ms",
    },
    Picture {
        file: "cost-against-fanout.svg",
        title: "Cost per delivery against fan-out: server CPU",
        case: "spread",
        measure: "server CPU per delivery",
        x: "subscribers of a thread",
        y: "microseconds",
    },
    Picture {
        file: "memory-against-connections.svg",
        title: "Memory against connections",
        case: "idle",
        measure: "server memory",
        x: "connections",
        y: "MiB",
    },
];

impl Picture {
    /// Draws it, if this run has measured what it shows. Gives whether it has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn draw(&self, folder: &Path, results: &Results) -> Result<bool> {
        let lines: Vec<(Contender, Vec<(f64, f64)>)> = Contender::ALL
            .into_iter()
            .map(|contender| {
                let points = results.sweep(self.case, contender, self.measure).into_iter();
                (contender, points.map(|(x, spread)| (x as f64, spread.median)).collect::<Vec<_>>())
            })
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if lines.is_empty() {
            return Ok(false);
        }
        let path = folder.join(self.file);
        self.draw_lines(&path, &lines).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(true)
    }

    fn draw_lines(
        &self,
        path: &Path,
        lines: &[(Contender, Vec<(f64, f64)>)],
    ) -> Result<(), Box<dyn std::error::Error>> {
        let points = || lines.iter().flat_map(|(_, points)| points);
        let (x_least, x_most) = bounds(points().map(|(x, _)| *x));
        let (y_least, y_most) = bounds(points().map(|(_, y)| *y));
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (x_least * 0.9..x_most * 1.1).log_scale(),
                (y_least * 0.7..y_most * 1.4).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| super::number(*x))
            .y_label_formatter(&|y| super::number(*y))
            .light_line_style(WHITE)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (contender, points) in lines {
            let color = color(*contender);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(contender.name())
                .legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
                });
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 13))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

/// Apart for eyes that do not tell red from green.
fn color(contender: Contender) -> RGBColor {
    match contender {
        Contender::Rethread => RGBColor(0, 90, 181),
        Contender::Nchan => RGBColor(220, 120, 0),
        Contender::SocketIo => RGBColor(120, 120, 120),
        Contender::Bare => RGBColor(170, 60, 150),
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, f64::MIN_POSITIVE), |(least, most), value| {
            (least.min(value), most.max(value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measure;

    #[test]
    fn a_picture_shows_every_contender_that_was_measured() {
        let mut results = Results::default();
        for (contender, factor) in [(Contender::Rethread, 1.0), (Contender::Nchan, 3.0)] {
            let point = |at, value| {
                Measure::new("server memory", "MiB", value * factor).at(at, "connections")
            };
            let measured = vec![point(1_000, 20.0), point(10_000, 120.0)];
            results.add(("idle", "about"), contender, measured);
        }
        let folder = tempfile::tempdir().unwrap();
        let drawn: Vec<bool> =
            ALL.iter().map(|picture| picture.draw(folder.path(), &results).unwrap()).collect();
        assert_eq!(drawn, [false, false, true]);
        let svg = std::fs::read_to_string(folder.path().join(ALL[2].file)).unwrap();
        for word in ["Rethread", "nchan", "connections", "MiB", ALL[2].title] {
            assert!(svg.contains(word), "{word} is missing");
        }
        assert!(!svg.contains("socket.io"));
    }
}
