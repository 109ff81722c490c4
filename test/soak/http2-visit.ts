import { connect, type ClientHttp2Session } from 'node:http2';
import type { Answer } from '../processes/traffic.ts';

/** A connection of HTTP/2 that comes, asks three times at once, gives one of them up, and leaves in an orderly way or not. Answers what the others got; never rejects. */
export async function visitByHttp2(port: number, round: number): Promise<readonly Answer[]> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  const answers = Promise.all([askByHttp2(session, '/keep'), askByHttp2(session, '/pool')]);
  const given = session.request({ ':path': '/keep' });
  given.on('error', () => {}).close(8);
  const got = await answers;
  if (round % 2 === 0) session.destroy();
  else await new Promise<void>((resolve) => { session.close(resolve); });
  return got;
}

function askByHttp2(session: ClientHttp2Session, path: string): Promise<Answer> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const stream = session.request({ ':path': path });
    let [status, reason, error] = [0, '', 'no answer'];
    stream.on('response', (head) => {
      status = head[':status'] ?? 0;
      reason = String(head['x-remora-reason'] ?? '');
      error = '';
    });
    stream.on('error', (failure) => { error = failure.message; });
    stream.on('close', () => resolve({ status, headers: reason === '' ? {} : { 'x-remora-reason': reason }, body: '', error, lane: 0, startedAt, elapsedMs: performance.now() - startedAt }));
    stream.resume();
  });
}
