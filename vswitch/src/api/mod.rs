//! The API: the rows that it answers with.

pub mod dto;
