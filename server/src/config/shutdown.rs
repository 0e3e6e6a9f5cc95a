use rethread_shared::limits::{DRAIN_DEADLINE, GOODBYE_SPREAD};

use super::{Span, settings};

settings! {
    /// How the server stops.
    pub struct Shutdown {
        /// How long /readyz says no before anything else happens, so that a balancer sends nothing new.
        unready: Span = Span::ms(0), in Span::ms(0)..=Span::secs(3_600);
        /// Over how long clients are spread that are told to come back.
        spread: Span = Span(GOODBYE_SPREAD), in Span::ms(1)..=Span::secs(3_600);
        /// How long connections and requests that are under way get to end.
        deadline: Span = Span(DRAIN_DEADLINE), in Span::ms(0)..=Span::secs(3_600);
    }
}
