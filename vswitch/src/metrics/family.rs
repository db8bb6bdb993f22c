//! Metrics by name, with their labelled values: what the exposition is put together from, and its text.
//!
//! Needs no switch: [`text`] runs on a thread of its own, because writing some hundred thousand lines takes
//! longer than the control thread has.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Encoder as _, TextEncoder};

use super::histogram::Totals;

/// One metric with its labelled values.
#[derive(Clone, Debug)]
pub struct Family(MetricFamily);

impl Family {
    fn new(kind: MetricType, name: &str, help: &str) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self(family)
    }

    /// What only goes up.
    #[must_use]
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(MetricType::COUNTER, name, help)
    }

    /// What goes up and down.
    #[must_use]
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(MetricType::GAUGE, name, help)
    }

    /// How often values were of which size.
    #[must_use]
    pub fn histogram(name: &str, help: &str) -> Self {
        Self::new(MetricType::HISTOGRAM, name, help)
    }

    /// A value of a counter or gauge.
    #[allow(
        clippy::cast_precision_loss,
        reason = "Prometheus' values are doubles: exact below 2^53"
    )]
    pub fn add(&mut self, labels: &[(&str, &str)], value: u64) {
        self.add_f64(labels, value as f64);
    }

    /// As [`add`](Self::add).
    pub fn add_f64(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut metric = labelled(labels);
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    /// The values of a histogram.
    pub fn add_totals(&mut self, labels: &[(&str, &str)], totals: &Totals) {
        let mut cumulative = 0;
        // The last bucket, which has no bound, is the count: the encoder adds it.
        let bucket = |(bound, count): (&f64, &u64)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        };
        let buckets = totals.bounds.iter().zip(&totals.counts).map(bucket).collect();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(totals.count());
        histogram.set_sample_sum(totals.sum);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.0.mut_metric().push(metric);
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

/// The scrape, in Prometheus' text format. A family without a value (no VTEP, say) is left out: the format has
/// nothing to say of it.
#[must_use]
pub fn text(families: Vec<Family>) -> String {
    let families: Vec<_> =
        families.into_iter().map(|f| f.0).filter(|f| !f.get_metric().is_empty()).collect();
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
        tracing::error!(%error, "the metrics cannot be encoded");
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let mut family = Family::histogram("sizes", "Sizes.");
        let totals =
            Totals { bounds: vec![0.000_001, 0.5, 2.0], counts: vec![3, 0, 4, 1], sum: 7.5 };
        family.add_totals(&[("worker", "0")], &totals);
        let empty = Family::gauge("nobody", "Nobody.");
        assert_eq!(
            text(vec![family, empty]),
            "# HELP sizes Sizes.\n# TYPE sizes histogram\n\
             sizes_bucket{worker=\"0\",le=\"0.000001\"} 3\n\
             sizes_bucket{worker=\"0\",le=\"0.5\"} 3\n\
             sizes_bucket{worker=\"0\",le=\"2\"} 7\n\
             sizes_bucket{worker=\"0\",le=\"+Inf\"} 8\n\
             sizes_sum{worker=\"0\"} 7.5\n\
             sizes_count{worker=\"0\"} 8\n"
        );
    }
}
