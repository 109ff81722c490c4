import { modes, type HostPorts, type Mode } from './outage-modes.ts';

export interface OutageEnvoyOptions {
  readonly port: number;
  readonly admin: number;
  /** File that ejections and returns are written to. */
  readonly log: string;
  readonly hosts: HostPorts;
  readonly ejectionMs: number;
}

/**
 * Envoy's configuration with what the policies of our gateway say: limits of time, further attempts with their budget, detectors, length and cap of ejections, thresholds. Of its
 * algorithms LEAST_REQUEST is the nearest to ours. `defaults` is what we do without a policy, said to Envoy: by itself it has neither outlier detection nor retries.
 */
export function outageEnvoy({ port, admin, log, hosts, ejectionMs }: OutageEnvoyOptions): object {
  const manager = {
    '@type': `${types}filters.network.http_connection_manager.v3.HttpConnectionManager`, stat_prefix: 'in', codec_type: 'AUTO',
    route_config: { name: 'all', virtual_hosts: [{ name: 'all', domains: ['*'], routes: modes.map((mode) => ({ match: { prefix: `/${mode}` }, route: { cluster: mode, ...routes[mode] } })) }] },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': `${types}filters.http.router.v3.Router` } }],
  };
  return {
    admin: { address: address(admin) },
    cluster_manager: { outlier_detection: { event_log_path: log } },
    static_resources: {
      listeners: [{ name: 'in', address: address(port), filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }] }],
      clusters: modes.map((mode) => cluster(mode, hosts[mode], ejectionMs)),
    },
  };
}

const routes: Readonly<Record<Mode, object>> = {
  plain: { timeout: '1s' },
  retries: {
    timeout: '15s',
    retry_policy: {
      retry_on: 'connect-failure,reset,gateway-error', num_retries: 2, per_try_timeout: '0.5s', retry_back_off: { base_interval: '0.025s', max_interval: '0.25s' },
      retry_host_predicate: [{ name: 'envoy.retry_host_predicates.previous_hosts', typed_config: { '@type': `type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate` } }],
      host_selection_retry_max_attempts: 5,
    },
  },
  defaults: { timeout: '15s', retry_policy: { retry_on: 'connect-failure', num_retries: 2 } },
};

function cluster(name: Mode, ports: readonly number[], ejectionMs: number): object {
  return {
    name, type: 'STATIC', connect_timeout: '1s', lb_policy: 'LEAST_REQUEST',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: address(port) } })) }] },
    outlier_detection: {
      consecutive_5xx: 5, enforcing_consecutive_gateway_failure: 0, enforcing_success_rate: 0, interval: '1s', base_ejection_time: `${ejectionMs / 1_000}s`, max_ejection_time: '300s', max_ejection_percent: 10,
    },
    circuit_breakers: {
      thresholds: [{ max_connections: 8_192, max_pending_requests: 8_192, max_requests: 16_384, retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 3 } }],
    },
  };
}

function address(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

const types = 'type.googleapis.com/envoy.extensions.';
