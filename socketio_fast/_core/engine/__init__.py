"""Engine.IO sessions: time, limits, writing, and how handlers run."""
