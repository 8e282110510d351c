"""nginx with the nchan module (Debian's libnginx-mod-nchan), one channel for each path: PORT [PEM]."""

import os
import sys
import tempfile

CONFIGURATION = """
daemon off; master_process off; pid {folder}/pid; error_log stderr error;
load_module {module};
worker_rlimit_nofile 20000;
events {{ worker_connections 19900; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096 {tls};
    location / {{
      nchan_pubsub websocket; nchan_channel_id $uri; nchan_message_buffer_length 1024;
      nchan_subscriber_first_message newest; nchan_websocket_ping_interval 0;
    }}
  }}
}}
"""


def main(module, port, pem=None):
    """Serve until killed."""
    folder = tempfile.mkdtemp(prefix="nchan-")
    tls = f"ssl; ssl_certificate {pem}; ssl_certificate_key {pem}" if pem else ""
    with open(f"{folder}/nginx.conf", "w") as file:
        file.write(CONFIGURATION.format(folder=folder, module=module, port=port, tls=tls))
    os.execlp("nginx", "nginx", "-p", folder, "-c", f"{folder}/nginx.conf")


main(*sys.argv[1:])
