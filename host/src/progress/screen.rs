//! The one screen of the process: who else writes to the terminal, or leaves it, has it to itself meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;

/// The lines that are drawn now, if any.
static SHOWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<MultiProgress>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the lines of the progress away, and does something while nobody draws. They are drawn again after that.
pub(crate) fn alone<T>(act: impl FnOnce() -> T) -> T {
    let shown = lock();
    if let Some(bars) = shown.as_ref() {
        // A terminal that can't be written to shows nothing.
        let _ = bars.clear();
    }
    act()
}

/// The lines on the screen. Dropped, also by a panic, they are gone and the terminal is as it was before.
pub(super) struct Lines(MultiProgress);

impl Lines {
    pub(super) fn new(bars: MultiProgress) -> Self {
        *lock() = Some(bars.clone());
        Self(bars)
    }

    /// Draws, unless somebody has the screen to himself: then after that.
    pub(super) fn draw<T>(&self, act: impl FnOnce(&MultiProgress) -> T) -> T {
        let _shown = lock();
        act(&self.0)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        *lock() = None;
        let bars = self.0.clone();
        // As above; and a thread that panics can't clear what it has drawn.
        if std::thread::panicking() {
            let _ = std::thread::spawn(move || bars.clear()).join();
        } else {
            let _ = bars.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use indicatif::{ProgressBar, ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal: its lines, and in which of them the cursor is.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<(Vec<String>, usize)>>);

    impl Paper {
        fn at<T>(&self, act: impl FnOnce(&mut String, &mut usize) -> T) -> T {
            let mut paper = self.0.lock().unwrap();
            let (lines, row) = &mut *paper;
            while lines.len() <= *row {
                lines.push(String::new());
            }
            act(&mut lines[*row], row)
        }

        fn text(&self) -> String {
            self.0.lock().unwrap().0.concat()
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, count: usize) -> io::Result<()> {
            self.at(|_, row| *row -= count);
            Ok(())
        }

        fn move_cursor_down(&self, count: usize) -> io::Result<()> {
            self.at(|_, row| *row += count);
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.at(|line, row| {
                line.push_str(text);
                *row += 1;
            });
            Ok(())
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.at(|line, _| line.push_str(text));
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.at(|line, _| line.clear());
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn drawn(paper: &Paper) -> Lines {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 255);
        let lines = Lines::new(MultiProgress::with_draw_target(target));
        let bar = lines.draw(|bars| bars.add(ProgressBar::new(3)));
        bar.set_message("drawn");
        bar.tick();
        assert_ne!(paper.text().trim(), "");
        std::mem::forget(bar);
        lines
    }

    #[test]
    fn dropped_by_a_panic_too_the_lines_are_gone_and_the_cursor_is_where_it_was() {
        let (one, other) = (Paper::default(), Paper::default());
        drop(drawn(&one));
        let panicked = std::thread::spawn({
            let other = other.clone();
            move || {
                let _lines = drawn(&other);
                panic!("a fault");
            }
        });
        assert!(panicked.join().is_err());
        for paper in [one, other] {
            assert_eq!((paper.text().trim(), paper.0.lock().unwrap().1), ("", 0));
        }
    }
}
