//! Arguments on the kernel's command line, for findings whose remedy takes a boot.

use super::finding::Finding;
use super::host::Host;

/// Debian's file, from which `update-grub` makes the configuration of the boot loader.
const FILE: &str = "/etc/default/grub";

/// Adds how to put arguments on the kernel's command line: commands if the file has none of them, else
/// advice. `afterwards` is what to know about the time after the boot.
#[must_use]
pub fn add(finding: Finding, host: &Host, arguments: &str, afterwards: &str) -> Finding {
    let text = host.read(FILE).unwrap_or_default();
    let lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("GRUB_CMDLINE_LINUX")).collect();
    let name = |argument: &str| argument.split_inclusive('=').next().map(str::to_owned);
    let names: Vec<_> = arguments.split(' ').filter_map(name).collect();
    let is_there = names.iter().any(|name| lines.iter().any(|line| line.contains(name)));
    if is_there || !lines.iter().any(|line| line.starts_with("GRUB_CMDLINE_LINUX=\"")) {
        return finding.advice(format!(
            "put {arguments} on the kernel's command line ({FILE}, then `update-grub`) and reboot; \
             {afterwards}"
        ));
    }
    let first = names.first().map(String::as_str).unwrap_or_default();
    finding
        .mend(format!(
            "grep -q '^GRUB_CMDLINE_LINUX.*{first}' {FILE} || \
             sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{arguments} /' {FILE}"
        ))
        .mend("update-grub")
        .advice(format!("reboot to make it take effect: `reboot`; {afterwards}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::finding::Check;
    use super::super::test_host::TestHost;
    use super::*;

    const ARGUMENTS: &str = "isolcpus=2 nohz_full=2";

    fn with(file: &str) -> TestHost {
        TestHost::new().file("etc/default/grub", file)
    }

    fn mended(fixture: &TestHost) -> Finding {
        let finding = Finding::warning(Check::Isolation, "found", "cause");
        add(finding, &fixture.host, ARGUMENTS, "then")
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
        assert!(finding.mend.is_empty() && finding.advice.starts_with("put isol"), "{finding}");
    }

    #[test]
    fn what_is_somebodys_is_left_alone() {
        for (file, words) in [
            (
                "GRUB_CMDLINE_LINUX_DEFAULT=\"isolcpus=3\"\nGRUB_CMDLINE_LINUX=\"\"\n",
                "put isolcpus=2 nohz_full=2 on",
            ),
            ("GRUB_CMDLINE_LINUX=ro\n", "put isolcpus=2 nohz_full=2 on"),
        ] {
            let finding = mended(&with(file));
            assert!(finding.mend.is_empty() && finding.advice.contains(words), "{finding}");
        }
        let finding = mended(&TestHost::new());
        assert!(finding.mend.is_empty() && finding.advice.contains("put isolcpus=2"), "{finding}");
    }
}
