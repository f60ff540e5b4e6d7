package ops

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
)

// envPrefix begins the name of every variable.
const envPrefix = "CASPARIAN"

// Option is one option of the daemon, and where its value comes from.
type Option struct {
	Flag     string // without dashes; "" for a secret, which has a variable only
	Variable string
	Default  string
	Help     string
	Origin   string // "default", "variable NAME" or "flag --name"
}

// Value gives an option's value as it would be written, "" for an unknown variable.
func (c *Config) Value(variable string) string {
	for field, value := range reflect.ValueOf(c).Elem().Fields() {
		if envPrefix+"_"+field.Tag.Get("envconfig") == variable {
			return valueOf(value).String()
		}
	}
	return ""
}

// VariableOf gives the environment variable of a flag.
func VariableOf(flag string) string {
	name := flag
	for field := range reflect.TypeFor[Config]().Fields() {
		if field.Tag.Get("flag") == flag {
			name = field.Tag.Get("envconfig")
		}
	}
	return envPrefix + "_" + name
}

// Bind declares the flags of config on flags. Only names on the list, or all
// without one. Load reads them together with the variables.
func Bind(flags *pflag.FlagSet, config *Config, only ...string) {
	v := reflect.ValueOf(config).Elem()
	for field, value := range v.Fields() {
		name := field.Tag.Get("flag")
		if name == "" || len(only) > 0 && !oneOf(name, only...) {
			continue
		}
		target := valueOf(value)
		if def := field.Tag.Get("default"); def != "" {
			if err := target.Set(def); err != nil {
				panic("ops: default of --" + name + ": " + err.Error())
			}
		}
		flag := flags.VarPF(target, name, "", fmt.Sprintf("%s (%s_%s)", field.Tag.Get("help"), envPrefix, field.Tag.Get("envconfig")))
		if _, ok := target.(*Switch); ok {
			flag.NoOptDefVal = "true"
		}
	}
}

func valueOf(field reflect.Value) pflag.Value {
	switch p := field.Addr().Interface().(type) {
	case pflag.Value:
		return p
	case *string:
		return text{p}
	case *int:
		return number[int]{p}
	case *int64:
		return number[int64]{p}
	default:
		panic(fmt.Sprintf("ops: option of type %T", p))
	}
}

// Load fills config from the variables and puts the flags that were given on top.
// It gives every option with its origin, in the order of Config. The values are
// not checked yet, only parsed.
func Load(flags *pflag.FlagSet, config *Config) ([]Option, error) {
	// envconfig writes over everything, so the flags' texts are kept and set again.
	given := map[string]string{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
	if err := envconfig.Process(envPrefix, config); err != nil {
		var parse *envconfig.ParseError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("variable %s: %q: %w", parse.KeyName, parse.Value, plain(parse.Err))
		}
		return nil, err
	}
	var options []Option
	for field, value := range reflect.ValueOf(config).Elem().Fields() {
		o := Option{Flag: field.Tag.Get("flag"), Variable: envPrefix + "_" + field.Tag.Get("envconfig"),
			Default: field.Tag.Get("default"), Help: field.Tag.Get("help"), Origin: "default"}
		if _, set := os.LookupEnv(o.Variable); set {
			o.Origin = "variable " + o.Variable
		}
		if text, ok := given[o.Flag]; ok && o.Flag != "" {
			if err := valueOf(value).Set(text); err != nil {
				return nil, &OptionError{o.Flag, text, err.Error()}
			}
			o.Origin = "flag --" + o.Flag
		}
		options = append(options, o)
	}
	return options, nil
}

// plain makes the standard library's number errors readable.
func plain(err error) error {
	if strings.Contains(err.Error(), "strconv.") {
		return errors.New("must be a whole number")
	}
	return err
}
