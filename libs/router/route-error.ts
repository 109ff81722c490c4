import { WireError } from '@remora/policy-kit/runtime-kind';

/** A route that cannot be built; becomes a refusal of the snapshot that names the route and the field. */
export class RouteError extends WireError {
  readonly route: string;

  constructor(route: string, pointer: string, code: string, message: string) {
    super(pointer, code, message);
    this.name = 'RouteError';
    this.route = route;
  }
}
