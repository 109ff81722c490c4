import { connect } from 'node:net';

/** Ports of the demo: friendly ones where they are free and a person looks, any free ones (0) where a program does. */
export interface Ports {
  readonly api: number;
  readonly push: number;
  readonly enrolment: number;
  readonly gateway: number;
}

export async function choosePorts(friendly: boolean): Promise<Ports> {
  const choose = async (port: number): Promise<number> => (friendly && !(await isTaken(port)) ? port : 0);
  return { api: await choose(8600), push: await choose(8601), enrolment: await choose(8602), gateway: await choose(8080) };
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
