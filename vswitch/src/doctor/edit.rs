//! Commands that change one value of a configuration file, for findings whose remedy is in the file.
//!
//! A report has several of them, which are run one after the other, all or some, in any order. So none counts
//! lines, which the one before it may have shifted: a command finds its table by the line that names it (the header,
//! or the `name`), and its key within it. A key that is not there is added after that line, and a table that is not
//! there at the end. Comments stay. Where the file does not have the value so (inline tables, lists over several
//! lines, a key above the `name`) there is no command, only advice.

use std::path::{Path, PathBuf};

use crate::control::state::{self, Origin, Start};

/// The file that a configuration came from.
#[derive(Clone, Debug)]
pub struct File {
    path: PathBuf,
    text: String,
    /// What goes before each command.
    before: String,
}

/// A table of the file.
#[derive(Clone, Copy, Debug)]
pub enum Table<'a> {
    /// `[dpdk]`, `[api]`.
    Section(&'a str),
    /// The `[[port]]`, `[[vtep]]` of that name.
    Named(&'a str, &'a str),
}

/// Where the file has a key of a table.
enum Place<'t> {
    /// The file has no such table.
    Nowhere,
    /// Not where a command finds it.
    Unclear,
    /// After the line that this regular expression finds: its own line, if it is there.
    Below(String, Option<&'t str>),
}

impl File {
    /// Reads it. `None` if it cannot be read any more: then there are no commands.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        Some(Self { path: path.to_owned(), text, before: String::new() })
    }

    /// What commands change, so that the next start comes up with what this one does and the change.
    #[must_use]
    pub fn of_start(start: &Start, path: &Path, directory: &Path) -> Option<Self> {
        match start.origin {
            Origin::StateAndNotFile => Self::behind_state(path, directory),
            Origin::State | Origin::File | Origin::FileAndNotState | Origin::FreshFile => {
                Self::read(path)
            }
        }
    }

    /// A file that says something else than the state that a start comes up with. A change of the file would be
    /// news, and replace the state with all that was changed since: so each command first makes the file what the
    /// state is, and keeps a backup. `None` if the state cannot be read.
    #[must_use]
    fn behind_state(path: &Path, directory: &Path) -> Option<Self> {
        let (kept, text) = state::text(directory)?;
        let [from, to] = [&kept, path].map(|path| quoted(&path.display().to_string()));
        let vouched = quoted(text.lines().next()?);
        let before =
            format!("{{ grep -qxF {vouched} {to} || cp --backup=numbered {from} {to}; }} && ");
        Some(Self { path: path.to_owned(), text, before })
    }

    /// A file with that text.
    #[cfg(test)]
    pub fn with(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.to_owned(), before: String::new() }
    }

    /// The command that sets a key to a value, both as TOML has them.
    #[must_use]
    pub fn set(&self, table: Table<'_>, key: &str, value: &str) -> Option<String> {
        let file = quoted(&self.path.display().to_string());
        let (made, anchor, line) = match (self.find(table, key), table) {
            (Place::Below(anchor, line), _) => (String::new(), anchor, line),
            (Place::Nowhere, Table::Section(section)) => {
                let header = quoted(&format!("[{section}]"));
                let made = format!(
                    "{{ grep -qxF {header} {file} || printf '\\n%s\\n' {header} >> {file}; }} && "
                );
                (made, header_anchor(section), None)
            }
            _ => return None,
        };
        // To the next header.
        let range = format!(r"/{anchor}/,/^\s*\[/");
        let scripts = match line {
            Some(line) => {
                let old = pattern_of(line.split_once('=')?.1)?;
                let new = escaped(value, r"\|&");
                quoted(&format!(r"{range} s|^\(\s*{key}\s*=\s*\){old}|\1{new}|"))
            }
            // Another command may have added the key: then it is taken out first.
            None => {
                let add = format!("/{anchor}/a {key} = {}", escaped(value, r"\"));
                format!(
                    "-e {} -e {}",
                    quoted(&format!(r"{range}{{/^\s*{key}\s*=/d}}")),
                    quoted(&add)
                )
            }
        };
        Some(format!("{}{made}sed -i {scripts} {file}", self.before))
    }

    fn find(&self, table: Table<'_>, key: &str) -> Place<'_> {
        // In a text over several lines, one may look like a header or a key.
        if self.text.contains("\"\"\"") || self.text.contains("'''") {
            return Place::Unclear;
        }
        let lines: Vec<_> = self.text.lines().collect();
        let is_header = |line: &&str| line.trim_start().starts_with('[');
        let is_of =
            |line: &str, header: &str| line.split('#').next().unwrap_or_default().trim() == header;
        let of_key = |line: &&&str| key_of(line) == Some(key);
        let (first, anchor) = match table {
            Table::Section(section) => {
                let header = format!("[{section}]");
                let Some(first) = lines.iter().position(|line| is_of(line, &header)) else {
                    // It may be written in another way: inline, or by dotted keys.
                    let all = toml::from_str::<toml::Table>(&self.text);
                    let is_there = !all.is_ok_and(|all| !all.contains_key(section));
                    return if is_there { Place::Unclear } else { Place::Nowhere };
                };
                (first, header_anchor(section))
            }
            Table::Named(kind, name) => {
                let mut named = (0..lines.len()).filter(|n| name_of(lines[*n]) == Some(name));
                let Some(first) = named.next() else { return Place::Nowhere };
                let mut above = lines[..first].iter().rev();
                let is_key_above = above.by_ref().take_while(|l| !is_header(l)).any(|l| of_key(&l));
                let header = lines[..first].iter().rfind(|line| is_header(line));
                let is_it = header.is_some_and(|header| is_of(header, &format!("[[{kind}]]")));
                // The line must name this table alone.
                if is_key_above || !is_it || named.next().is_some() {
                    return Place::Unclear;
                }
                let quote = if lines[first].contains(&format!("'{name}'")) { '\'' } else { '"' };
                let name = escaped(name, r"\/.*[]^$");
                (first, format!(r"^\s*name\s*=\s*{quote}{name}{quote}"))
            }
        };
        let mut below = lines[first + 1..].iter().take_while(|line| !is_header(line));
        Place::Below(anchor, below.find(of_key).copied())
    }
}

fn header_anchor(section: &str) -> String {
    format!(r"^\s*\[{section}\]")
}

fn key_of(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

/// What a line `name = "…"` says.
fn name_of(line: &str) -> Option<&str> {
    let (_, value) = line.split_once('=').filter(|(key, _)| key.trim() == "name")?;
    let value = value.trim();
    let quote = value.chars().next().filter(|first| "'\"".contains(*first))?;
    value[1..].split(quote).next()
}

/// What finds a value, which is all that its line has but a comment. `None` for one that goes on in the next line, or
/// is not of a simple kind.
fn pattern_of(typed: &str) -> Option<&'static str> {
    let typed = typed.trim();
    let (pattern, end) = match typed.chars().next()? {
        '"' if !typed.contains('\\') => ("\"[^\"]*\"", typed[1..].find('"')? + 2),
        '\'' => ("'[^']*'", typed[1..].find('\'')? + 2),
        '[' => (r"\[[^]]*\]", typed.find(']')? + 1),
        '"' | '{' => return None,
        _ => (
            r"[^[:space:]#]*",
            typed.find(|c: char| c == '#' || c.is_whitespace()).unwrap_or(typed.len()),
        ),
    };
    let rest = typed[end..].trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(pattern)
}

/// A text with a backslash before each of these characters.
fn escaped(text: &str, special: &str) -> String {
    let one = |c: char| if special.contains(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(one).collect()
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
    use std::fs;
    use std::process::Command;

    use super::*;

    const TEXT: &str = "[dpdk]   # cores\nmemory-mib = 64   # too few\nworker-cores = [\n  1 ]\n\n\
                        [[port]]\nname = \"up\"\ndevice = \"net_null0,x=#1\" # a # in a text\n\n\
                        [[port]]\ndevice = 'net_null1'\nname = 'a'\nmtu=1500\n";

    fn run(command: &str) {
        let status = Command::new("sh").args(["-ec", command]).status().unwrap();
        assert!(status.success(), "{command}");
    }

    #[test]
    fn the_command_changes_that_value_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's.toml");
        let dpdk = Table::Section("dpdk");
        for (table, key, value, before, after) in [
            (dpdk, "memory-mib", "80", "= 64   #", "= 80   #"),
            (dpdk, "hugepages", "false", "# cores\n", "# cores\nhugepages = false\n"),
            (Table::Named("port", "a"), "mtu", "1600", "mtu=1500", "mtu=1600"),
            (Table::Named("port", "up"), "mtu", "1600", "\"up\"\n", "\"up\"\nmtu = 1600\n"),
            (
                Table::Named("port", "up"),
                "device",
                r#""net_null0,x=&|\\""#,
                r#""net_null0,x=#1""#,
                r#""net_null0,x=&|\\""#,
            ),
            (
                Table::Section("api"),
                "metrics",
                r#""127.0.0.1:1""#,
                "mtu=1500\n",
                "mtu=1500\n\n[api]\nmetrics = \"127.0.0.1:1\"\n",
            ),
        ] {
            fs::write(&path, TEXT).unwrap();
            run(&File::read(&path).unwrap().set(table, key, value).unwrap());
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                TEXT.replacen(before, after, 1),
                "{key}"
            );
        }
    }

    #[test]
    fn there_is_no_command_where_it_could_be_wrong() {
        let set = |text: &str, table, key| File::with("f", text).set(table, key, "1");
        assert_eq!(set(TEXT, Table::Section("dpdk"), "worker-cores"), None);
        assert_eq!(set(TEXT, Table::Named("port", "b"), "mtu"), None);
        assert_eq!(set(TEXT, Table::Named("vtep", "a"), "mtu"), None);
        assert_eq!(set(TEXT, Table::Named("port", "a"), "device"), None, "it is above the name");
        let both = format!("{TEXT}[[network]]\nname = \"a\"\n");
        assert_eq!(set(&both, Table::Named("port", "a"), "mtu"), None, "two have that name");
        for text in [
            "api.socket = \"s\"\n",
            "api = { socket = \"s\" }\n",
            "[ api ]\n",
            "[api]\nx = \"\"\"\n\"\"\"\n",
        ] {
            assert_eq!(set(text, Table::Section("api"), "metrics"), None, "{text}");
        }
        for value in ["{ a = 1 }", "\"a\\\"b\"", "[ \"]\" ]", "[1,"] {
            assert_eq!(set(&format!("[api]\nx = {value}\n"), Table::Section("api"), "x"), None);
        }
    }

    /// Some of these, and one that is run twice, or with another value.
    type Edit = (Table<'static>, &'static str, &'static str);

    const EDITS: [Edit; 6] = [
        (Table::Section("dpdk"), "memory-mib", "80"),
        (Table::Section("dpdk"), "hugepages", "false"),
        (Table::Section("api"), "metrics", "\"127.0.0.1:9145\""),
        (Table::Section("api"), "socket", "\"/run/a.sock\""),
        (Table::Named("port", "a"), "mtu", "1600"),
        (Table::Named("port", "b"), "device", "\"net_null3\""),
    ];

    /// What the file says when these are done.
    fn model(text: &str, edits: &[Edit]) -> toml::Table {
        let mut all: toml::Table = toml::from_str(text).unwrap();
        for (table, key, value) in edits {
            let value: toml::Table = toml::from_str(&format!("v = {value}")).unwrap();
            let empty = || toml::Value::Table(toml::Table::new());
            let entry = match table {
                Table::Section(section) => all.entry(*section).or_insert_with(empty),
                Table::Named(kind, name) => all[*kind]
                    .as_array_mut()
                    .unwrap()
                    .iter_mut()
                    .find(|entry| entry["name"].as_str() == Some(*name))
                    .unwrap(),
            };
            entry.as_table_mut().unwrap().insert((*key).to_owned(), value["v"].clone());
        }
        all
    }

    #[test]
    fn the_commands_of_one_report_are_run_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        let ports = "[[port]]\nname = \"a\"\n[[port]]\nname = \"b\"\ndevice = \"net_null0\"\n";
        for text in [
            ports.to_owned(),
            format!("[dpdk]\n[api]\n{ports}"),
            format!("{ports}[api]\nmetrics = \"[::1]:9144\" # here\n[dpdk]\nmemory-mib = 64"),
            format!("[dpdk]\nhugepages = true\nmemory-mib = 1\n\n{ports}mtu = 9000\n"),
        ] {
            for chosen in 0_u32..1 << EDITS.len() {
                let mut some: Vec<_> =
                    (0..EDITS.len()).filter(|n| chosen >> n & 1 != 0).map(|n| EDITS[n]).collect();
                if chosen % 3 == 0 {
                    some.reverse();
                }
                if let Some(first) = some.first().copied() {
                    some.push(first);
                }
                fs::write(&path, &text).unwrap();
                let file = File::read(&path).unwrap();
                let commands: Vec<_> = some
                    .iter()
                    .map(|(table, key, value)| file.set(*table, key, value).unwrap())
                    .collect();
                run(&commands.join("\n"));
                let now = fs::read_to_string(&path).unwrap();
                let found = toml::from_str::<toml::Table>(&now);
                assert_eq!(found, Ok(model(&text, &some)), "{commands:#?}\n{now}");
            }
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/etc/vswitch.toml"), "/etc/vswitch.toml");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
