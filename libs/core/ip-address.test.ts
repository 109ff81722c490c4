import * as fc from 'fast-check';
import { BlockList, isIP } from 'node:net';
import { describe, expect, test } from 'vitest';
import { parseIpAddress, parseIpNetwork } from './ip-address.ts';
import { NetworkSet } from './network-set.ts';

const words = new Uint32Array(4);

function read(text: string): string | 0 {
  const family = parseIpAddress(text, words);
  return family === 0 ? 0 : `${family}:${[...words].map((word) => word.toString(16)).join(':')}`;
}

describe('parseIpAddress', () => {
  test.each([
    ['192.0.2.1', '4:0:0:0:c0000201'],
    ['255.255.255.255', '4:0:0:0:ffffffff'],
    ['::ffff:192.0.2.1', '4:0:0:0:c0000201'],
    ['::ffff:c000:201', '4:0:0:0:c0000201'],
    ['::', '6:0:0:0:0'],
    ['::1', '6:0:0:0:1'],
    ['2001:db8::', '6:20010db8:0:0:0'],
    ['2001:db8:1:2:3:4:5:6', '6:20010db8:10002:30004:50006'],
    ['1::8', '6:10000:0:0:8'],
    ['fe80::1%eth0', '6:fe800000:0:0:1'],
    ['64:ff9b::192.0.2.33', '6:64ff9b:0:0:c0000221'],
  ])('%s', (text, wanted) => expect(read(text)).toBe(wanted));

  test.each(['', '1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '1.2.3.4 ', '1..2.3', ':', ':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9',
    '1::2::3', '12345::', 'g::', '1:2:3:4:5:6:7:1.2.3.4', '::1.2.3', '1:', ':1', '1.2.3.4%eth0', '1:2:3:4:5:6:7::8', '::ffff:1.2.3.4:5'])('refuses %s', (text) => expect(read(text)).toBe(0));

  test('accepts what node:net accepts', () => {
    const piece = fc.constantFrom('0', '1', 'ff', 'abcd', '255', '12345', '256', '01', ':', '::', '.', '');
    fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom(':', '.', ''), (pieces, glue) => {
      const text = pieces.join(glue);
      expect(`${text} ${read(text) !== 0}`).toBe(`${text} ${isIP(text) !== 0}`);
    }), { numRuns: 2_000 });
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      expect(read(text)).not.toBe(0);
    }));
  });
});

describe('parseIpNetwork', () => {
  test.each(['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/08', '10.0.0.0/', '/8', 'fe80::%1/64', '::/129', '::ffff:10.0.0.0/90', 'x/8'])('refuses %s', (text) => expect(parseIpNetwork(text)).toBeNull());

  test('clears the bits beyond the prefix', () => {
    expect(parseIpNetwork('10.1.2.3/8')).toEqual({ family: 4, words: Uint32Array.of(0, 0, 0, 0x0a000000), prefix: 8 });
    expect(parseIpNetwork('::ffff:10.1.2.3/104')).toEqual({ family: 4, words: Uint32Array.of(0, 0, 0, 0x0a000000), prefix: 8 });
    expect(parseIpNetwork('2001:db8::1/32')?.words).toEqual(Uint32Array.of(0x20010db8, 0, 0, 0));
    expect(parseIpNetwork('0.0.0.0/0')).toEqual({ family: 4, words: new Uint32Array(4), prefix: 0 });
  });
});

describe('NetworkSet', () => {
  const address = fc.oneof(
    fc.tuple(fc.constantFrom(10, 192), fc.nat(3), fc.constantFrom(0, 128, 255), fc.nat(255)).map((parts) => parts.join('.')),
    fc.tuple(fc.constantFrom('2001:db8', 'fe80', '::ffff:10.1.2'), fc.nat(3)).map(([head, tail]) => (head.startsWith('::') ? `${head}.${tail}` : `${head}::${tail}`)),
  );

  test('agrees with net.BlockList', () => {
    fc.assert(fc.property(fc.array(fc.tuple(address, fc.nat(128)), { maxLength: 8 }), fc.array(address, { minLength: 1, maxLength: 8 }), (networks, asked) => {
      const set = new NetworkSet();
      const list = new BlockList();
      for (const [base, bits] of networks) {
        const v4 = !base.includes(':');
        if (base.startsWith('::ffff')) continue;
        // BlockList also takes IPv4 addresses for the IPv6 networks around ::ffff:0:0; families are apart here.
        const prefix = v4 ? bits % 33 : Math.max(3, bits);
        const network = parseIpNetwork(`${base}/${prefix}`);
        expect(network).not.toBeNull();
        if (network !== null) set.add(network, 1);
        list.addSubnet(base, prefix, v4 ? 'ipv4' : 'ipv6');
      }
      for (const one of asked) {
        const plain = one.startsWith('::ffff:') ? one.slice(7) : one;
        expect(`${one} ${set.find(one) >= 0}`).toBe(`${one} ${list.check(plain, plain.includes(':') ? 'ipv6' : 'ipv4')}`);
      }
    }), { numRuns: 500 });
  });

  test('answers the widest network, and tells what is no address', () => {
    const set = new NetworkSet();
    ['10.0.0.0/16', '10.0.0.0/8', '::/0'].forEach((text, i) => {
      const network = parseIpNetwork(text);
      if (network) set.add(network, i);
    });
    expect(['10.0.0.1', '10.9.0.1', '11.0.0.1', '::1', 'unix'].map((text) => set.find(text))).toEqual([1, 1, -1, 2, -2]);
  });
});
