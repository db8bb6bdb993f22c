//! Numbers for people: three digits and a unit.

use super::rates::{Flow, Rate};

/// 1234567.0 is "1.23 M". An unknown rate is a dash.
pub(super) fn amount(rate: Rate) -> String {
    let Some(value) = rate else { return "–".to_owned() };
    let (value, unit) = match value {
        v if v >= 999.5e6 => (v / 1e9, " G"),
        v if v >= 999.5e3 => (v / 1e6, " M"),
        v if v >= 999.5 => (v / 1e3, " k"),
        v => (v, ""),
    };
    match value {
        v if unit.is_empty() && (v >= 9.5 || v.fract() == 0.0) => format!("{v:.0}"),
        v if v >= 99.95 => format!("{v:.0}{unit}"),
        v if v >= 9.995 => format!("{v:.1}{unit}"),
        v => format!("{v:.2}{unit}"),
    }
}

/// As in "1.23 k packets/s 800 kbit/s".
pub(super) fn flow(flow: Flow) -> String {
    format!("{} packets/s {}bit/s", amount(flow.packets), with_space(&amount(flow.bits)))
}

/// As in "1.23 M" and "5 ", before a unit.
fn with_space(amount: &str) -> String {
    if amount.contains(' ') { amount.to_owned() } else { format!("{amount} ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.50"),
            (7.0, "7"),
            (12.4, "12"),
            (999.4, "999"),
            (999.6, "1.00 k"),
            (12_345.0, "12.3 k"),
            (999_400.0, "999 k"),
            (1_234_567.0, "1.23 M"),
            (18_340_000.0, "18.3 M"),
            (9.87e9, "9.87 G"),
            (123e9, "123 G"),
        ] {
            assert_eq!(amount(Some(value)), text, "{value}");
        }
        assert_eq!(amount(None), "–");
    }
}
