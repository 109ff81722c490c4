import { describe, expect, test } from 'vitest';
import { chooseRole } from './role.ts';
import type { RoleOptions } from './role.ts';
import { sidecarArguments } from './sidecar-arguments.ts';

const edge = { kind: 'Gateway', name: 'edge', listeners: { plain: { port: 8080 } } };
const two = { kind: 'Gateway', name: 'two', listeners: { a: { port: 1 }, b: { port: 2 } } };
const app = { kind: 'Service', name: 'app', ports: { http: { port: 3000 } } };
const odd = { kind: 'Service', name: 'odd', ports: { metrics: { port: 9090 } } };

const argumentsOf = (documents: readonly (typeof edge | typeof two | typeof app | typeof odd)[], options: RoleOptions, port?: number): string =>
  sidecarArguments({ role: chooseRole(documents, options), push: '127.0.0.1:1', dataDir: '/tmp/x', host: '127.0.0.1', ...(port === undefined ? {} : { port }) }).join(' ').replace(/^sidecar --control-plane \S+ --data-dir \S+ --listen-host \S+ --admin-port 0 /, '');

describe('what the one sidecar of `remora run` is', () => {
  test.each([
    { what: 'the only gateway', documents: [edge, app], options: {}, is: '--gateway edge' },
    { what: 'with its port moved', documents: [edge, app], options: {}, port: 8000, is: '--gateway edge --listener plain=127.0.0.1:8000' },
    { what: 'the gateway named', documents: [edge, two], options: { gateway: 'two' }, is: '--gateway two' },
    { what: 'without a gateway: the only service, before its port', documents: [app], options: {}, is: '--service app --app http=127.0.0.1:3000 --inbound http=127.0.0.1:8000 --no-outbound' },
    { what: 'an app elsewhere', documents: [app, edge], options: { app: 'localhost:4000' }, port: 0, is: '--service app --app http=127.0.0.1:4000 --inbound http=127.0.0.1:0 --no-outbound' },
    { what: 'the service named, with a port of another name', documents: [app, odd], options: { service: 'odd' }, is: '--service odd --app metrics=127.0.0.1:9090 --inbound metrics=127.0.0.1:8000 --no-outbound' },
  ])('$what', ({ documents, options, port, is }) => {
    expect(argumentsOf(documents, options, port)).toBe(is);
  });

  test.each([
    { documents: [], options: {}, says: 'nothing to run' },
    { documents: [edge, two], options: {}, says: 'say which with --gateway edge | two' },
    { documents: [app, odd], options: {}, says: 'say which with --service app | odd' },
    { documents: [edge], options: { gateway: 'edeg' }, says: 'no Gateway edeg; there is edge' },
    { documents: [edge, app], options: { gateway: 'edge', service: 'app' }, says: 'exclude each other' },
    { documents: [two], options: {}, port: 8000, says: 'gateway two has 2 listeners' },
  ])('$says', ({ documents, options, port, says }) => {
    expect(() => argumentsOf(documents, options, port)).toThrow(says);
  });
});
