import { z } from 'zod';
import { issue } from './issue.ts';
import { documentName, hostName, labels } from './names.ts';

const expectedTarget = '{}, {gateways: all}, {services: all}, {services: {labels: {…}}}, {service: x}, {gateway: x}, each of the last two with or without route: y';

const targetFields = z.strictObject({
  services: z.union([z.literal('all'), z.strictObject({ labels: labels() })], { error: () => 'must be all or {labels: {…}}' }).optional(),
  gateways: z.literal('all').optional(),
  service: hostName().optional(),
  gateway: hostName().optional(),
  route: documentName().optional(),
});

/** What a policy is about. */
export const targetSchema = targetFields.superRefine((target, context) => {
  const places = [target.services, target.gateways, target.service, target.gateway].filter((place) => place !== undefined);
  if (places.length > 1) issue(context, 'exclusive', 'a target names one thing', expectedTarget);
  if (target.route !== undefined && target.service === undefined && target.gateway === undefined) {
    issue(context, 'missing-owner', 'a route is named together with its service or gateway', '{service: x, route: y} or {gateway: x, route: y}', ['route']);
  }
  if (typeof target.services === 'object' && Object.keys(target.services.labels).length === 0) {
    issue(context, 'too-few', 'names no label; for every service write services: all', undefined, ['services', 'labels']);
  }
}).meta({ description: expectedTarget });

/** Exceptions of a bound: targets, without the one that means everything. */
export const exceptionSchema = targetSchema.superRefine((target, context) => {
  if (Object.keys(target).length === 0) issue(context, 'too-wide', 'an exception for everything lifts the bound', '{service: x} or the like');
});

/** Which callers a policy is about: caller-side kinds only. */
export const fromSchema = z.strictObject({
  service: hostName().optional(),
  labels: labels().optional(),
  gateway: hostName().optional(),
}).superRefine((from, context) => {
  if (Object.keys(from).length !== 1) issue(context, 'exclusive', 'names exactly one of service, labels, gateway', '{service: x}, {labels: {…}} or {gateway: x}');
  if (from.labels !== undefined && Object.keys(from.labels).length === 0) issue(context, 'too-few', 'names no label', undefined, ['labels']);
});

export type TargetDocument = z.infer<typeof targetSchema>;
export type FromDocument = z.infer<typeof fromSchema>;
