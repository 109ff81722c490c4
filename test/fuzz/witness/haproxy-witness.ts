import { requireTool } from '../../conformance/tools.ts';
import type { ProxyKind } from './proxy-witness.ts';

/** HAProxy passes bodies on as they come, and keeps what belongs to a connection to itself. */
export const haproxy: ProxyKind = {
  name: 'HAProxy',
  silentOn: ['connection', 'keep-alive', 'proxy-connection', 'te', 'expect', 'upgrade'],
  refuses: () => false,
  command: (file) => [requireTool('haproxy'), '-f', file, '-db', '-q'],

  configuration: ({ port, recorderPort }) => `global
  maxconn 512
  tune.bufsize 262144
  tune.http.maxhdr 5000
defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
frontend witness
  bind 127.0.0.1:${port}
  http-request set-header x-witness-port %[src_port]
  default_backend recorder
backend recorder
  server recorder 127.0.0.1:${recorderPort}
`,
};
