/** A proxy made of fastify and its proxy plugin, as a Node team would: `node fastify-proxy.ts PORT BACKEND`. */
import proxy from '@fastify/http-proxy';
import fastify from 'fastify';

const [port, backend] = process.argv.slice(2).map(Number);
const server = fastify({ logger: false });
await server.register(proxy, { upstream: `http://127.0.0.1:${backend}` });
await server.listen({ host: '127.0.0.1', port: port ?? 0 });
