import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { programPath } from '@remora/testing/requirement';
import { startPinned, untilListening } from '../../processes/child.ts';
import type { Contestant, Stage } from '../proxy/scenario.ts';

/** PEM files of one side. */
export interface MeshFiles {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
}

/**
 * Two Envoys configured as two sidecars: HTTP/1.1 in, HTTP/2 by ALPN over mutual TLS between them, each verifying the other's SPIFFE id, HTTP/1.1 to the backend, the
 * caller's id in a header. Null where Envoy is not installed.
 */
export async function startEnvoyPair(stage: Stage, backend: number, files: { readonly caller: MeshFiles; readonly callee: MeshFiles }): Promise<Contestant | null> {
  const command = programPath('envoy');
  if (command === null) return null;
  const between = await freePort();
  const entry = await freePort();
  const callee = start(stage, command, 'callee', config(between, backend, { downstream: downstreamTls(files.callee, 'spiffe://bench.example/service/web'), upstream: {} }));
  await untilListening(between, 30_000);
  const caller = start(stage, command, 'caller', config(entry, between, { downstream: {}, upstream: upstreamTls(files.caller, 'spiffe://bench.example/service/orders') }));
  await untilListening(entry, 30_000);
  return { name: 'envoy', port: entry, process: caller, others: [callee] };
}

function start(stage: Stage, command: string, name: string, document: object): ReturnType<typeof startPinned> {
  const file = path.join(stage.folder, `envoy-${name}.json`);
  writeFileSync(file, JSON.stringify(document));
  const child = startPinned(stage.proxyCore, [command, '-c', file, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart', '--base-id', name === 'callee' ? '1' : '2']);
  stage.own(child);
  return child;
}

function config(port: number, target: number, { downstream, upstream }: { readonly downstream: object; readonly upstream: object }): object {
  const manager = {
    '@type': `${types}filters.network.http_connection_manager.v3.HttpConnectionManager`, stat_prefix: 'in', codec_type: 'AUTO', forward_client_cert_details: 'SANITIZE_SET', set_current_client_cert_details: { uri: true },
    route_config: { name: 'all', virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'next' } }] }] },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${types}filters.http.router.v3.Router` } }],
  };
  const endpoint = { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: target } } } };
  return {
    static_resources: {
      listeners: [{
        name: 'in', address: { socket_address: { address: '127.0.0.1', port_value: port } },
        filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }], ...downstream }],
      }],
      clusters: [{ name: 'next', type: 'STATIC', connect_timeout: '1s', load_assignment: { cluster_name: 'next', endpoints: [{ lb_endpoints: [endpoint] }] }, ...upstream }],
    },
  };
}

function downstreamTls(files: MeshFiles, peer: string): object {
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: { '@type': `${types}transport_sockets.tls.v3.DownstreamTlsContext`, require_client_certificate: true, common_tls_context: common(files, peer) } } };
}

function upstreamTls(files: MeshFiles, peer: string): object {
  return {
    transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: { '@type': `${types}transport_sockets.tls.v3.UpstreamTlsContext`, common_tls_context: common(files, peer) } },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { '@type': `${types}upstreams.http.v3.HttpProtocolOptions`, explicit_http_config: { http2_protocol_options: {} } },
    },
  };
}

function common({ certificate, key, root }: MeshFiles, peer: string): object {
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' }, alpn_protocols: ['h2', 'http/1.1'],
    tls_certificates: [{ certificate_chain: { filename: certificate }, private_key: { filename: key } }],
    validation_context: { trusted_ca: { filename: root }, match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peer } }] },
  };
}

const types = 'type.googleapis.com/envoy.extensions.';
