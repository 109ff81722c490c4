import { createServer } from 'node:http';
import { tokenIssuer } from '../../token-issuer.ts';

/** Signs the tokens of the shop's clients. `PORT` (0: any). */
let address = '';
const server = createServer(tokenIssuer(() => address));
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  address = `http://127.0.0.1:${port}`;
  process.stdout.write(`${JSON.stringify({ event: 'listening', name: 'issuer', port })}\n`);
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
