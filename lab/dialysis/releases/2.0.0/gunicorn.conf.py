"""gunicorn: two workers of four threads are plenty for a dialysis centre."""

# The gateway reaches it over the hospital's network.
bind = "0.0.0.0:8080"
workers = 2
worker_class = "gthread"
threads = 4
timeout = 30
graceful_timeout = 20
# Idle connections from the gateway are kept so that a request costs no new one.
keepalive = 30
worker_tmp_dir = "/dev/shm"  # noqa: S108  (gunicorn's heartbeat file; on a disk it can block the worker)
accesslog = None
loglevel = "warning"
