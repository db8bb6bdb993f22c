//! From a file, a text or a document to a valid configuration.

use std::path::Path;

use super::diagnostic::{Errors, LoadError, Problems};
use super::document::{Document, FieldError};
use super::model::Config;
use super::{read, validate};

/// Reads and validates a file.
///
/// # Errors
/// The file cannot be read, is not UTF-8, or is not a valid configuration.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_path_buf(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        LoadError::NotUtf8 { path: path.to_path_buf(), line }
    })?;
    Ok(parse(&path.display().to_string(), &text)?)
}

/// Validates the text of a configuration. `file_name` appears in the messages only.
///
/// # Errors
/// The first syntax error or, without one, all other errors in the order of the file.
pub fn parse(file_name: &str, text: &str) -> Result<Config, Errors> {
    let mut problems = Problems::new(file_name, text);
    let config = read::read(&mut problems).map(|read| validate::check(&read, &mut problems));
    finish(config, problems)
}

impl Document {
    /// The configuration that the document means.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the document.
    pub fn check(&self) -> Result<Config, Vec<FieldError>> {
        let text = self.to_toml();
        let mut problems = Problems::of_document(&text);
        let config = validate::check(self, &mut problems);
        finish(Some(config), problems)
            .map_err(|errors| errors.iter().map(FieldError::from).collect())
    }
}

fn finish(config: Option<Config>, problems: Problems) -> Result<Config, Errors> {
    let (errors, warnings) = problems.finish();
    match config {
        Some(config) if errors.is_empty() => Ok(Config { warnings, ..config }),
        _ => Err(errors),
    }
}
