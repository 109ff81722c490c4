import { requireTool } from '../../conformance/tools.ts';
import type { ProxyKind } from './proxy-witness.ts';

/** nginx reads bodies whole before it passes them on, drops trailers, and answers some things by itself. */
export const nginx: ProxyKind = {
  name: 'nginx',
  silentOn: ['connection', 'keep-alive', 'proxy-connection', 'te', 'expect', 'upgrade'],

  /** It wants methods of capital letters and a Host that is not empty, and takes some names only once. */
  refuses({ method, headers }) {
    const singular = headers.map(([name]) => name).filter((name) => onceNames.has(name));
    return method === 'TRACE' || new Set(singular).size < singular.length || headers.some(([name, value]) => name === 'host' && value === '');
  },

  command: (file, folder) => [requireTool('nginx'), '-c', file, '-e', `${folder}/error.log`],

  configuration: ({ folder, port, recorderPort }) => `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log crit;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  client_max_body_size 0; large_client_header_buffers 32 128k; client_header_buffer_size 16k;
  underscores_in_headers on; ignore_invalid_headers off; merge_slashes off; keepalive_requests 100000;
  upstream recorder { server 127.0.0.1:${recorderPort}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://recorder; proxy_http_version 1.1; proxy_request_buffering on;
      proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_set_header X-Witness-Port $remote_port;
    }
  }
}
`,
};

const onceNames: ReadonlySet<string> = new Set(['host', 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'range', 'authorization', 'content-type', 'user-agent', 'referer', 'te', 'expect', 'upgrade', 'keep-alive', 'accept-encoding', 'via', 'depth', 'destination', 'overwrite', 'date', 'x-real-ip']);
