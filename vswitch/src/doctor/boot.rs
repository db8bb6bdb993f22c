//! Arguments of the kernel, for findings whose remedy takes a boot.

use super::Finding;
use super::host::Host;

/// Debian's, from which `update-grub` makes the boot loader's.
const FILE: &str = "/etc/default/grub";

/// Puts arguments on the kernel's command line. A file that has one of them already is left alone: what it says is
/// somebody's. `then` is what to know beside it.
#[must_use]
pub fn with_arguments(finding: Finding, host: &Host, arguments: &str, then: &str) -> Finding {
    let text = host.read(FILE).unwrap_or_default();
    let lines = || text.lines().filter(|line| line.starts_with("GRUB_CMDLINE_LINUX"));
    let words: Vec<_> = lines()
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'".contains(c)))
        .collect();
    let wanted = || arguments.split(' ');
    let name = |argument: &str| argument.split_once('=').map(|(name, _)| format!("{name}="));
    let first = wanted().next().and_then(name).unwrap_or_default();
    if wanted().all(|argument| words.contains(&argument)) {
        return finding.advice(format!(
            "{FILE} has {arguments}: `update-grub` and a boot (`reboot`) bring them about; {then}"
        ));
    }
    let is_known = |argument| {
        name(argument).is_some_and(|name| words.iter().any(|word| word.starts_with(&name)))
    };
    if wanted().any(is_known) {
        return finding.advice(format!(
            "{FILE} has other values: change them to {arguments}, then `update-grub` and `reboot`; {then}"
        ));
    }
    if !lines().any(|line| line.starts_with("GRUB_CMDLINE_LINUX=\"")) {
        return finding.advice(format!(
            "put {arguments} on the kernel's command line, and boot anew; {then}"
        ));
    }
    finding
        .mend(format!(
            "grep -q '^GRUB_CMDLINE_LINUX.*{first}' {FILE} || sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{arguments} /' {FILE}"
        ))
        .mend("update-grub")
        .advice(format!("it holds from the next boot on: `reboot`; {then}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::Check;
    use super::super::fixture::Fixture;
    use super::*;

    const ARGUMENTS: &str = "isolcpus=2 nohz_full=2";

    fn with(file: &str) -> Fixture {
        Fixture::new().file("etc/default/grub", file)
    }

    fn mended(fixture: &Fixture) -> Finding {
        let finding = Finding::warning(Check::Isolation, "found", "cause");
        with_arguments(finding, &fixture.host, ARGUMENTS, "then")
    }

    #[test]
    fn arguments_are_added_once_and_nothing_is_booted() {
        let fixture =
            with("# isolcpus=9\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"ro\"\n");
        let finding = mended(&fixture);
        assert_eq!(finding.mend[1], "update-grub");
        assert!(finding.advice.contains("`reboot`"), "{finding}");
        let path = fixture.host.path(FILE);
        let command = finding.mend[0].replace(FILE, path.to_str().unwrap());
        for _ in 0..2 {
            assert!(Command::new("sh").args(["-ec", &command]).status().unwrap().success());
        }
        let text = "# isolcpus=9\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"isolcpus=2 nohz_full=2 ro\"";
        assert_eq!(fixture.host.read(FILE).unwrap(), text);
        let finding = mended(&fixture);
        assert!(
            finding.mend.is_empty() && finding.advice.contains("bring them about"),
            "{finding}"
        );
    }

    #[test]
    fn what_is_somebodys_is_left_alone() {
        for (file, words) in [
            (
                "GRUB_CMDLINE_LINUX_DEFAULT=\"isolcpus=3\"\nGRUB_CMDLINE_LINUX=\"\"\n",
                "other values",
            ),
            ("GRUB_CMDLINE_LINUX=ro\n", "put isolcpus=2 nohz_full=2 on"),
        ] {
            let finding = mended(&with(file));
            assert!(finding.mend.is_empty() && finding.advice.contains(words), "{finding}");
        }
        let finding = mended(&Fixture::new());
        assert!(finding.mend.is_empty() && finding.advice.contains("put isolcpus=2"), "{finding}");
    }
}
