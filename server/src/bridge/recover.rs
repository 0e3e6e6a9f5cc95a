//! What was going on when the server stopped, or when its log failed and was opened again.

use std::sync::Arc;

use rethread_shared::{WireError, limits::REGISTRY_TTL, order::RunState};

use super::{Bridge, runs::replay};
use crate::{log::RunRecord, now};

impl Bridge {
    /// Takes up what was going on when the server stopped: work that waits, agents that are away. Also
    /// when the log was opened again after a failure, for then something may be stored that nobody was
    /// told of; what the desk knows stays as it is.
    ///
    /// # Errors
    /// `log_unavailable`.
    pub async fn recover(self: &Arc<Self>) -> Result<(), WireError> {
        let ttl = REGISTRY_TTL.as_millis() as u64;
        let (mut waiting, mut away) = (0, 0);
        for record in self.log.live_runs().await? {
            let (state, steps) = replay(&*self.log, &record).await?;
            match state {
                RunState::Asked if record.asked => {
                    let seq = steps.last().map_or(0, |step| step.seq);
                    let Some(thread) = self.log.thread(&record.thread)? else { continue };
                    let message = match self.message_at(&record, seq).await {
                        Ok(message) => message,
                        Err(error) => {
                            // One message that cannot be read must not keep all others waiting.
                            tracing::error!(run = %record.run, seq, %error, "not handed out");
                            continue;
                        }
                    };
                    self.ask(&thread, record.agent.clone(), record.run.clone(), message);
                    waiting += 1;
                }
                _ if self.desk.knows(&record.run) && !state.is_ended() => {}
                RunState::Asked | RunState::Running { .. } if record.connected => {
                    self.watch([self.desk.missing(&record.run)]);
                    away += 1;
                }
                RunState::Ended { .. } => {
                    self.desk.over(&record.run);
                    drop(self.log.remember(RunRecord { live: false, ..record }));
                }
                RunState::New if now::unix_ms() > record.created_at + ttl => {
                    // Minted, and never used.
                    drop(self.log.remember(RunRecord { live: false, ..record }));
                }
                RunState::New | RunState::Asked | RunState::Running { .. } => {}
            }
        }
        if waiting + away > 0 {
            tracing::info!(waiting, away, "took up the runs of before");
        }
        Ok(())
    }
}
