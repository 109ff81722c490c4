/**
 * One instance in a process of its own, so that it can be stopped: answers every request with its name after a time. Started with the name and the time in milliseconds; prints
 * its port. Its queue of connections is short: once it is stopped, a few connections fill it, and the system drops what asks for more.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const [name = '', delayMs = '0'] = process.argv.slice(2);
const server = createServer({ keepAliveTimeout: 0 }, (_, response) => void setTimeout(() => response.end(name), Number(delayMs)));
server.listen({ port: 0, host: '127.0.0.1', backlog: 16 }, () => console.log((server.address() as AddressInfo).port));
