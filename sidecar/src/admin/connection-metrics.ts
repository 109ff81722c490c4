interface ConnectionSample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Connections of clients: the data threads count `connections_total-inbound-http1`, `connections_active-gateway-http2`, `connections_refused-gateway`. */
export function readConnections(events: ReadonlyMap<string, number>, which: 'total' | 'active' | 'refused'): ConnectionSample[] {
  const prefix = `connections_${which}-`;
  return [...events].flatMap(([name, value]) => {
    if (!name.startsWith(prefix)) return [];
    const [side = '', protocol] = name.slice(prefix.length).split('-');
    return [{ value, labels: { side, ...(protocol !== undefined && { protocol }) } }];
  });
}

/** Connections to upstreams: `upstream_connection-http2`. */
export function readUpstreamConnections(events: ReadonlyMap<string, number>): ConnectionSample[] {
  return suffixed(events, 'upstream_connection-', 'protocol');
}

/** What HTTP/2 pools say: `upstream_goaway`, `upstream_failed`, `upstream_retired`. */
export function readUpstreamEvents(events: ReadonlyMap<string, number>): ConnectionSample[] {
  return suffixed(events, 'upstream_', 'event').filter(({ labels }) => labels['event']?.startsWith('connection-') !== true);
}

/** TLS to upstreams: `upstreamTls_full-TLSv1.3` and why it failed. */
export function readUpstreamHandshakes(events: ReadonlyMap<string, number>): ConnectionSample[] {
  return suffixed(events, 'upstreamTls_', 'outcome');
}

/** `http2_window-grown`, `http2_window-refused`. */
export function readHttp2Windows(events: ReadonlyMap<string, number>): ConnectionSample[] {
  return suffixed(events, 'http2_window-', 'event');
}

/** `bodies_held`, `bodies_hold-refused`. */
export function readHeldBodies(events: ReadonlyMap<string, number>): ConnectionSample[] {
  return suffixed(events, 'bodies_', 'event');
}

function suffixed(events: ReadonlyMap<string, number>, prefix: string, label: string): ConnectionSample[] {
  return [...events].flatMap(([name, value]) => (name.startsWith(prefix) ? [{ value, labels: { [label]: name.slice(prefix.length) } }] : []));
}
