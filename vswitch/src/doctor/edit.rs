//! Commands that change one value of a configuration file, for findings whose remedy is in the file.
//!
//! The command names a line by its number and leaves comments alone. Where the file does not have the value
//! on a line of its own (inline tables, lists over several lines) there is no command, only advice.

use std::path::{Path, PathBuf};

/// The file that a configuration came from.
#[derive(Clone, Debug)]
pub struct File {
    path: PathBuf,
    text: String,
}

/// A table of the file.
#[derive(Clone, Copy, Debug)]
pub enum Table<'a> {
    /// `[dpdk]`, `[api]`.
    Section(&'a str),
    /// The `[[port]]`, `[[vtep]]` of that name.
    Named(&'a str, &'a str),
}

type NumberedLines<'t> = Vec<(usize, &'t str)>;

impl File {
    /// Reads it. `None` if it cannot be read any more: then there are no commands.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        Some(Self { path: path.to_owned(), text: std::fs::read_to_string(path).ok()? })
    }

    /// A file with that text.
    #[cfg(test)]
    pub fn with(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.to_owned() }
    }

    /// The command that sets a key to a value, both as TOML has them.
    #[must_use]
    pub fn set(&self, table: Table<'_>, key: &str, value: &str) -> Option<String> {
        let (header, lines) = self.find(table)?;
        let value = value.replace('\\', "\\\\").replace('|', "\\|").replace('&', "\\&");
        let line = lines.iter().find(|(_, line)| key_of(line) == Some(key));
        let script = match line {
            Some((number, line)) => {
                // A value over several lines, or a # that may be in a text: better no command than a wrong one.
                let typed = line.split_once('=')?.1;
                let is_whole = typed.matches('[').count() == typed.matches(']').count();
                let has_text_after = typed.contains('#') && typed.contains('"');
                if !is_whole || has_text_after || typed.contains("\"\"\"") {
                    return None;
                }
                format!("{number}s|=[^#]*|= {value}|")
            }
            None => format!("{header}a {key} = {value}"),
        };
        Some(format!("sed -i {} {}", quoted(&script), quoted(&self.path.display().to_string())))
    }

    /// The number of a table's header, and its numbered lines.
    fn find(&self, table: Table<'_>) -> Option<(usize, NumberedLines<'_>)> {
        let mut tables: Vec<(usize, &str, NumberedLines<'_>)> = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            let line = line.trim();
            if line.starts_with('[') {
                let header = line.split('#').next().unwrap_or_default().trim();
                tables.push((number, header, Vec::new()));
            } else if let Some((_, _, lines)) = tables.last_mut() {
                lines.push((number, line));
            }
        }
        let (number, _, lines) = tables.into_iter().find(|(_, header, lines)| match table {
            Table::Section(section) => *header == format!("[{section}]"),
            Table::Named(kind, name) => {
                let is_it = |(_, line): &(usize, &str)| {
                    key_of(line) == Some("name")
                        && line.split_once('=').is_some_and(|(_, value)| text_of(value) == name)
                };
                *header == format!("[[{kind}]]") && lines.iter().any(is_it)
            }
        })?;
        Some((number, lines))
    }
}

fn key_of(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

/// A TOML string on one line, without its quotes.
fn text_of(value: &str) -> &str {
    let value = value.trim();
    let quote = if value.starts_with('\'') { '\'' } else { '"' };
    value.trim_start_matches(quote).split(quote).next().unwrap_or_default()
}

/// A word for a shell.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.,:@_-+=%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const TEXT: &str = "[dpdk]   # cores\nmemory-mib = 64   # too few\nworker-cores = [\n  1 ]\n\n\
                        [[port]]\nname = \"up\"\ndevice = \"net_null0\"\n\n\
                        [[port]]\ndevice = 'net_null1'\nname = 'a'\nmtu=1500\n";

    #[test]
    fn the_command_changes_that_value_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's.toml");
        for (table, key, value, before, after) in [
            (Table::Section("dpdk"), "memory-mib", "80", "= 64   #", "= 80# "),
            (
                Table::Section("dpdk"),
                "hugepages",
                "false",
                "[dpdk]   # cores\n",
                "[dpdk]   # cores\nhugepages = false\n",
            ),
            (Table::Named("port", "a"), "mtu", "1600", "mtu=1500", "mtu= 1600"),
            (
                Table::Named("port", "up"),
                "mtu",
                "1600",
                "[[port]]\nname",
                "[[port]]\nmtu = 1600\nname",
            ),
            (
                Table::Named("port", "up"),
                "device",
                "\"net_null0,x=&|\"",
                "= \"net_null0\"",
                "= \"net_null0,x=&|\"",
            ),
        ] {
            std::fs::write(&path, TEXT).unwrap();
            let command = File::read(&path).unwrap().set(table, key, value).unwrap();
            let status = Command::new("sh").args(["-c", &command]).status().unwrap();
            assert!(status.success(), "{command}");
            let now = std::fs::read_to_string(&path).unwrap();
            let squeezed = |text: &str| text.replace(' ', "");
            assert_eq!(squeezed(&now), squeezed(&TEXT.replacen(before, after, 1)), "{command}");
        }
    }

    #[test]
    fn there_is_no_command_where_it_could_be_wrong() {
        let file = File::with("f", TEXT);
        assert_eq!(file.set(Table::Section("dpdk"), "worker-cores", "[2]"), None);
        assert_eq!(file.set(Table::Section("api"), "socket", "x"), None);
        assert_eq!(file.set(Table::Named("port", "b"), "mtu", "1"), None);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/etc/vswitch.toml"), "/etc/vswitch.toml");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
