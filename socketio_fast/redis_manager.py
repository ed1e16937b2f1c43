"""Where python-socketio has it; see :mod:`socketio_fast.managers`."""

from socketio_fast.managers.redis import RedisManager, parse_redis_sentinel_url

__all__ = ["RedisManager", "parse_redis_sentinel_url"]
