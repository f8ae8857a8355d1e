//! What is tested over the whole repository.

#[cfg(test)]
mod documents;
