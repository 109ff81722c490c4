/** The engine is the kit's, as policies use patterns too; routes have the same bounds. */
export { checkRegex, compileRegex, regexGroupsMax, regexLengthMax, regexSizeMax, regexTextMax, undecided, type Regex } from '@remora/policy-kit/regex';
