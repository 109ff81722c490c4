/**
 * What h2specd starts for each case, with the address at which that case waits: asks the gateway (first argument: its port) for the Route
 * that leads there.
 */
import { request } from 'node:http';

const gatewayPort = Number(process.argv[2]);
const casePort = new URL(process.argv[3] ?? '').port;
const outgoing = request({ host: '127.0.0.1', port: gatewayPort, path: `/${casePort}`, timeout: 2500 }, (answer) => {
  answer.on('error', () => {}).resume();
});
outgoing.on('timeout', () => outgoing.destroy());
// What comes of the request is judged by h2specd, from the frames that it saw.
outgoing.on('error', () => {});
outgoing.end();
