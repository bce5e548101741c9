// gokrb5's own handler, which signs on by the keytab of KRB5_KTNAME: gokrb5 PORT
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/jcmturner/goidentity/v6"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/service"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

func who(answer http.ResponseWriter, request *http.Request) {
	user := goidentity.FromHTTPRequestContext(request)
	fmt.Fprintf(answer, "%s@%s", user.UserName(), user.Domain())
}

func main() {
	keys, err := keytab.Load(strings.TrimPrefix(os.Getenv("KRB5_KTNAME"), "FILE:"))
	if err != nil {
		panic(err)
	}
	guarded := spnego.SPNEGOKRB5Authenticate(http.HandlerFunc(who), keys, service.DecodePAC(false))
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], guarded))
}
