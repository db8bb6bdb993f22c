//! Shell completions and manual pages, from the same definition as `--help`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;

use super::output::{Exit, complain, print};
use crate::text::count;

/// A shell that completions can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KnownShell {
    /// bash: `vswitch completions bash > /etc/bash_completion.d/vswitch`.
    Bash,
    /// zsh: `vswitch completions zsh > /usr/local/share/zsh/site-functions/_vswitch`.
    Zsh,
    /// fish: `vswitch completions fish > /etc/fish/completions/vswitch.fish`.
    Fish,
}

/// Options of `vswitch man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Where to write the pages of all commands; default: the page of `vswitch`, to the standard
    /// output.
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// `vswitch completions`.
pub(super) fn completions(shell: KnownShell, mut vswitch: Command) -> Exit {
    let shell = match shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut vswitch, "vswitch", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// `vswitch man`.
pub(super) fn man(options: &Man, vswitch: Command) -> Exit {
    // `vswitch help` has no page.
    let vswitch = vswitch.disable_help_subcommand(true);
    let Some(directory) = &options.directory else {
        let mut text = Vec::new();
        return match clap_mangen::Man::new(vswitch).render(&mut text) {
            Ok(()) => print(&String::from_utf8_lossy(&text)),
            Err(error) => complain(format_args!("vswitch: error: {error}")),
        };
    };
    match write_pages(directory, vswitch) {
        Ok(pages) => print(&format!("{} in {}\n", count(pages, "page"), directory.display())),
        Err(error) => complain(format_args!(
            "vswitch: error: cannot write manual pages to {}: {error}\nhelp: name a directory \
             that you may write to, such as /usr/local/share/man/man1",
            directory.display()
        )),
    }
}

/// Writes a page for each command. Returns the number of pages.
fn write_pages(directory: &Path, mut vswitch: Command) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    vswitch.build();
    write_page(directory, &vswitch)
}

fn write_page(directory: &Path, command: &Command) -> io::Result<usize> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    fs::write(directory.join(format!("{name}.1")), text)?;
    let mut pages = 1;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages += write_page(directory, verb)?;
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let pages =
            write_pages(folder.path(), Cli::command().disable_help_subcommand(true)).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), pages);
        for (page, words) in [
            ("vswitch.1", "Exit status"),
            ("vswitch-apply.1", "confirm"),
            ("vswitch-network-create.1", "vni"),
            ("vswitch-network-remote-vtep-add.1", "flood"),
        ] {
            let text = fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(words), "{page}: {text}");
        }
    }
}
